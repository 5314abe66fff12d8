package audit

import (
	"slices"
	"strings"
)

// ActionOf names the action of a request method, in the words of activities (AZ-161).
func ActionOf(method string) string {
	switch method {
	case "POST":
		return "create"
	case "PUT", "PATCH":
		return "update"
	case "GET":
		return "read"
	case "DELETE":
		return "delete"
	}
	return "system"
}

// TopicOf derives a topic where a permission names none: the path segment after the first
// "admin/", else "general" (AZ-162).
func TopicOf(path string) string {
	_, after, found := strings.Cut(path, "admin/")
	if topic, _, _ := strings.Cut(after, "/"); found && topic != "" {
		return topic
	}
	return "general"
}

// nouns are the objects of staff work, in this service and in the components of an exchange.
var nouns = []string{
	"abilities", "accounts", "activities", "addresses", "adjustments", "airdrops", "api_keys", "assets", "attachments",
	"beneficiaries", "blockchains", "comments", "currencies", "data_storages", "deposits", "documents", "engines",
	"expenses", "explain", "fees", "incentives", "internal_transfers", "jobs", "labels", "levels", "liabilities",
	"markets", "members", "metrics", "networks", "operations", "orders", "organizations", "payment_addresses",
	"permissions", "phones", "profiles", "reports", "restrictions", "revenues", "secrets", "service_accounts",
	"trades", "trading_fees", "transactions", "users", "wallets", "websites", "whitelinks", "whitelisted_addresses",
	"withdraw_limits", "withdraws",
}

// DeniedTopicOf is TopicOf for a path that was refused: a known noun or "general". A refused
// caller may have made the path up, and must not fill the topics with words.
func DeniedTopicOf(path string) string {
	if topic := TopicOf(path); slices.Contains(nouns, topic) {
		return topic
	}
	return "general"
}

// CategoryOf separates work of staff, on paths with an admin segment, from that of users
// (FX-37).
func CategoryOf(path string) string {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "admin" {
			return CategoryAdmin
		}
	}
	return CategoryUser
}

// KnownBrowser reports whether a user agent names a browser that people use (T-ACT-4). It is
// generous: any product name of a browser engine will do. Scripts, libraries and empty names have
// none.
func KnownBrowser(userAgent string) bool {
	for _, product := range []string{
		"Chrome/", "Chromium/", "CriOS/", "Firefox/", "FxiOS/", "Safari/", "Edg/", "Edge/", "EdgA/", "EdgiOS/",
		"OPR/", "Opera/", "AppleWebKit/", "Gecko/", "MSIE ", "Trident/",
	} {
		if strings.Contains(userAgent, product) {
			return true
		}
	}
	return false
}
