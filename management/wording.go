package management

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"barong/internal/rest"
)

// sentence words the problems of parameters as one text.
func sentence(problems []rest.Problem) (int, any) {
	var all []string
	for _, p := range problems {
		if text := problemText(p); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return http.StatusUnprocessableEntity, rest.ErrorText{Error: strings.Join(all, ", ")}
}

func problemText(p rest.Problem) string {
	names := strings.Join(p.Params, ", ")
	switch {
	case p.Breach == rest.NoneOf:
		return names + " are missing, exactly one parameter must be provided"
	case p.Breach == rest.NotAnyOf:
		return names + " are missing, at least one parameter must be provided"
	case p.Breach == rest.SeveralOf:
		return names + " are mutually exclusive"
	case p.Named:
		return names + " " + p.Token
	case p.Breach == rest.Missing:
		return names + " is missing"
	case p.Breach == rest.Blank:
		return names + " is empty"
	}
	return names + " is invalid"
}

// messages is the body of broken rules in most groups.
type messages struct {
	Error []string `json:"error"`
}

// listed words broken rules as a list of messages.
func listed(tokens []string) (int, any) {
	var out messages
	for _, t := range tokens {
		_, text := message(t)
		out.Error = append(out.Error, text)
	}
	return http.StatusUnprocessableEntity, out
}

// byAttribute words broken rules as lists of messages by attribute.
func byAttribute(tokens []string) (int, any) {
	out := map[string][]string{}
	for _, t := range tokens {
		attribute, text := message(t)
		out[attribute] = append(out[attribute], text)
	}
	return http.StatusUnprocessableEntity, out
}

// joined words broken rules as one sentence.
func joined(tokens []string) (int, any) {
	var all []string
	for _, t := range tokens {
		_, text := message(t)
		all = append(all, text)
	}
	text := strings.Join(all, ", ")
	switch n := len(all); {
	case n == 2:
		text = all[0] + " and " + all[1]
	case n > 2:
		text = strings.Join(all[:n-1], ", ") + ", and " + all[n-1]
	}
	return http.StatusUnprocessableEntity, rest.ErrorText{Error: text}
}

// plain leaves broken rules as the tokens that they are.
func plain(tokens []string) (int, any) {
	return http.StatusUnprocessableEntity, rest.Errors{Errors: tokens}
}

// verbatim takes the first token for a sentence.
func verbatim(tokens []string) (int, any) {
	return http.StatusUnprocessableEntity, rest.ErrorText{Error: tokens[0]}
}

// reasons are the words for the rules of any attribute; of other rules the rule itself is the
// text.
var reasons = map[string]string{
	"blank": "can't be blank", "taken": "has already been taken", "invalid": "is invalid",
	"inclusion": "is not included in the list", "exists": "already exists",
	"infected": "holds a virus", "too_many_pixels": "has too many pixels",
	"invalid_format": "data is not json compatible string",
}

// exact are the words for the rules of one attribute.
var exact = map[string]string{
	"first_name.invalid": `only allows letters, digits "-", "'", and space`,
	"last_name.invalid":  `only allows letters, digits "-", "'", and space`,
	"city.invalid":       `only allows letters, digits "-", "–", "'", ".", "~" and space`,
	"postcode.invalid":   `only allows letters, digits "-" and space`,
	"address.invalid":    `only allows letters, digits "-", "–", "'", ".", ",", "#", ":", ";", "&" and space`,
	"dob.invalid":        "cant be in future",
	"doc_number.invalid": "only allows letters and digits",
}

// least and most are the bounds of texts, in characters, of attributes that have others than 1 and 255.
var (
	least = map[string]int{"key": 3, "value": 3, "postcode": 2}
	most  = map[string]int{"data": 1024, "password": 72, "doc_number": 128, "metadata": 65535}
)

// message is a token, "<attribute>.<rule>", in words.
func message(token string) (attribute, text string) {
	attribute, rule, _ := strings.Cut(token, ".")
	text, ok := exact[token]
	switch {
	case ok:
	case rule == "too_short":
		text = fmt.Sprintf("is too short (minimum is %d characters)", max(least[attribute], 1))
	case rule == "too_long":
		n := most[attribute]
		if n == 0 {
			n = 255
		}
		text = fmt.Sprintf("is too long (maximum is %d characters)", n)
	default:
		if text, ok = reasons[rule]; !ok {
			text = rule
		}
	}
	return attribute, human(attribute) + " " + text
}

// human is an attribute in words: "Doc expire", and "Referral" for "referral_id".
func human(attribute string) string {
	words := strings.ReplaceAll(strings.TrimSuffix(attribute, "_id"), "_", " ")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}
