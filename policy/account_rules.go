package policy

import "strings"

// AccountRules are the rules about accounts that an exchange sets in one file
// (data-model 11.1). They are data for the account service; a Snapshot holds none of them.
type AccountRules struct {
	// Activation are the private labels, key to value, that make a pending user active.
	Activation map[string]string
	// Triggers give users with a private label of one of the keys a state; later ones win.
	Triggers []StateTrigger
	// DocumentTypes, StorageTitles, CaptchaEndpoints and ProfileVerifiers are lists of words.
	DocumentTypes, StorageTitles, CaptchaEndpoints, ProfileVerifiers []string
}

// A StateTrigger names the label keys that give a state.
type StateTrigger struct {
	State string
	Keys  []string
}

// ParseAccountRules reads a barong.yml file. A missing activation_requirements means
// "email: verified", as in the reference; other missing keys mean none. Unknown keys and
// wrong shapes are errors, all told at once with their lines.
func ParseAccountRules(data []byte) (AccountRules, error) {
	var d document
	r := AccountRules{}
	known := []string{"activation_requirements", "state_triggers", "document_types", "user_storage_titles",
		"captcha_protected_endpoints", "profile_verification_roles"}
	if top := d.parse(data); top != nil {
		for _, f := range d.fields(top, "the file") {
			switch key := strings.ToLower(f.key); key {
			case "activation_requirements":
				r.Activation = map[string]string{}
				for _, label := range d.fields(f.value, key) {
					r.Activation[label.key] = d.text(label.value, key+"."+label.key)
				}
			case "state_triggers":
				for _, state := range d.fields(f.value, key) {
					r.Triggers = append(r.Triggers, StateTrigger{state.key, d.texts(state.value, key+"."+state.key)})
				}
			case "document_types":
				r.DocumentTypes = d.texts(f.value, key)
			case "user_storage_titles":
				r.StorageTitles = d.texts(f.value, key)
			case "captcha_protected_endpoints":
				r.CaptchaEndpoints = d.texts(f.value, key)
			case "profile_verification_roles":
				r.ProfileVerifiers = d.texts(f.value, key)
			default:
				d.unknown(f, "the file", known)
			}
		}
	}
	if err := d.err(); err != nil {
		return AccountRules{}, err
	}
	if r.Activation == nil {
		r.Activation = map[string]string{"email": "verified"}
	}
	return r, nil
}
