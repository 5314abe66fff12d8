package session

import "strings"

// unknownDevice is the device of a user agent without a known mark.
const unknownDevice = "Unknown device"

// A mark is a piece of a user agent and its meaning.
type mark struct{ text, name string }

// browsers and systems are known by the first mark that a user agent has: most browsers also
// claim to be the ones below them, and phones claim to be the system they descend from.
var (
	browsers = [...]mark{
		{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"Edge/", "Edge"},
		{"OPR/", "Opera"}, {"OPiOS/", "Opera"}, {"Opera", "Opera"}, {"Vivaldi/", "Vivaldi"},
		{"YaBrowser/", "Yandex Browser"}, {"SamsungBrowser/", "Samsung Internet"},
		{"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Chromium/", "Chrome"},
		{"Safari/", "Safari"}, {"MSIE ", "Internet Explorer"}, {"Trident/", "Internet Explorer"},
		{"curl/", "curl"},
	}
	systems = [...]mark{
		{"Windows", "Windows"}, {"Android", "Android"}, {"iPad", "iPadOS"}, {"iPhone", "iOS"}, {"iPod", "iOS"},
		{"CrOS", "ChromeOS"}, {"Macintosh", "macOS"}, {"Mac OS X", "macOS"}, {"FreeBSD", "FreeBSD"},
		{"Linux", "Linux"}, {"X11", "Linux"},
	}
)

// Device names in a few words the claim of a user agent: "Firefox on Linux", "Firefox",
// "Linux" or "Unknown device". Nothing of the input is part of the result.
func Device(userAgent string) string {
	browser, system := first(browsers[:], userAgent), first(systems[:], userAgent)
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser+system != "":
		return browser + system
	}
	return unknownDevice
}

func first(marks []mark, userAgent string) string {
	for _, m := range marks {
		if strings.Contains(userAgent, m.text) {
			return m.name
		}
	}
	return ""
}
