// Package exchange owns the rules that an exchange sets in one file, barong.yml: those about accounts
// and the lists of words that other packages go by.
package exchange

import (
	"strings"

	"barong/internal/account"
	"barong/internal/strictyaml"
)

// Rules are those of the file.
type Rules struct {
	// Activation are the private labels, key to value, that make a pending user active.
	Activation map[string]string
	// Triggers give users with a private label of one of the keys a state; later ones win.
	Triggers []account.Trigger
	// DocumentTypes, StorageTitles, CaptchaEndpoints and ProfileVerifiers are lists of words.
	DocumentTypes, StorageTitles, CaptchaEndpoints, ProfileVerifiers []string
}

// Parse reads a barong.yml file. A missing activation_requirements means
// "email: verified", as in the reference; other missing keys mean none. Unknown keys and
// wrong shapes are errors, all at once with their lines.
func Parse(data []byte) (Rules, error) {
	var d strictyaml.Document
	r := Rules{}
	known := []string{"activation_requirements", "state_triggers", "document_types", "user_storage_titles",
		"captcha_protected_endpoints", "profile_verification_roles"}
	if top := d.Parse(data); top != nil {
		for _, f := range d.Fields(top, "the file") {
			switch key := strings.ToLower(f.Key); key {
			case "activation_requirements":
				r.Activation = map[string]string{}
				for _, label := range d.Fields(f.Value, key) {
					r.Activation[label.Key] = d.Text(label.Value, key+"."+label.Key)
				}
			case "state_triggers":
				for _, state := range d.Fields(f.Value, key) {
					r.Triggers = append(r.Triggers, account.Trigger{State: state.Key, Keys: d.Texts(state.Value, key+"."+state.Key)})
				}
			case "document_types":
				r.DocumentTypes = d.Words(f.Value, key, 255)
			case "user_storage_titles":
				r.StorageTitles = d.Words(f.Value, key, 64)
			case "captcha_protected_endpoints":
				r.CaptchaEndpoints = d.Texts(f.Value, key)
			case "profile_verification_roles":
				r.ProfileVerifiers = d.Texts(f.Value, key)
			default:
				d.Unknown(f, "the file", known)
			}
		}
	}
	if err := d.Err(); err != nil {
		return Rules{}, err
	}
	if r.Activation == nil {
		r.Activation = map[string]string{"email": "verified"}
	}
	return r, nil
}
