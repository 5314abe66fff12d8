package audit

import "strings"

// ActionOf is what a request method does, in the words of activities (AZ-161).
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

// CategoryOf tells work of staff, on paths with an admin segment, from that of users (FX-37).
func CategoryOf(path string) string {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "admin" {
			return CategoryAdmin
		}
	}
	return CategoryUser
}

// knownBrowser is generous: whatever carries the product name of a browser engine that
// people use. Scripts, libraries and empty names do not.
func knownBrowser(userAgent string) bool {
	for _, product := range []string{
		"Chrome/", "CriOS/", "Firefox/", "FxiOS/", "Safari/", "Edg/", "EdgA/", "EdgiOS/", "OPR/",
		"Opera/", "AppleWebKit/", "Gecko/", "MSIE ", "Trident/",
	} {
		if strings.Contains(userAgent, product) {
			return true
		}
	}
	return false
}
