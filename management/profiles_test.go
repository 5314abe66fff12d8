package management_test

import (
	"strings"
	"testing"

	"barong/internal/expect"
)

func TestCreateProfile(t *testing.T) {
	w := newWorld(t)
	full := func(pairs ...any) m {
		out := m{"uid": "MEMBER", "first_name": "Ada", "last_name": "Lovelace", "dob": "1990-12-10", "address": "1 Street", "postcode": "MT-1", "city": "Valletta", "country": "MT", "metadata": `{"a":1}`}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i].(string)] = pairs[i+1]
		}
		return out
	}
	long := strings.Repeat("a", 256)
	for _, c := range []struct {
		params m
		want   string
	}{
		{m{}, `{"error":"uid is missing, uid is empty"}`},
		{full("uid", "NOBODY"), `{"error":"user.doesnt_exist"}`},
		{full("country", "a"), `{"error":["Country must have alpha2 or alpha3 format"]}`},
		{full("state", "famous"), `{"error":["State is not included in the list"]}`},
		{full("first_name", "!", "last_name", "!", "city", "!", "postcode", "a", "address", "^", "metadata", "x"), `{"error":["First name only allows letters, digits \"-\", \"'\", and space",
			"Last name only allows letters, digits \"-\", \"'\", and space","City only allows letters, digits \"-\", \"–\", \"'\", \".\", \"~\" and space",
			"Postcode is too short (minimum is 2 characters)","Address only allows letters, digits \"-\", \"–\", \"'\", \".\", \",\", \"#\", \":\", \";\", \"&\" and space","Metadata data is not json compatible string"]}`},
		{full("first_name", long, "last_name", long, "city", long, "postcode", long, "address", long), `{"error":["First name is too long (maximum is 255 characters)",
			"Last name is too long (maximum is 255 characters)","City is too long (maximum is 255 characters)","Postcode is too long (maximum is 255 characters)","Address is too long (maximum is 255 characters)"]}`},
	} {
		w.ask(t, "/profiles", c.params).Want(t, 422, strings.ReplaceAll(c.want, "\n\t\t\t", ""))
	}
	w.ask(t, "/profiles", full("state", "rejected"))
	a := w.ask(t, "/profiles", full())
	if a.Status != 201 || strings.Count(a.Body, `"last_name":"Lovelace"`) != 3 || !strings.Contains(a.Body, `"state":"rejected"`) || !strings.Contains(a.Body, `"state":"drafted"`) {
		t.Errorf("got %d %s, want both profiles", a.Status, a.Body)
	}
	expect.Equal(t, w.labels("MEMBER"), []string{"profile:drafted private"})
	for _, state := range []string{"drafted", "submitted"} {
		w.ask(t, "/profiles", full("state", state)).Want(t, 422, `{"error":["State already exists"]}`)
	}
	if a := w.ask(t, "/profiles", full("state", "verified")); a.Status != 201 {
		t.Errorf("verified beside a draft: %d %s", a.Status, a.Body)
	}
	w.News()
	w.ask(t, "/profiles", m{"uid": "TRADER", "first_name": "Grace"})
	var names []string
	for _, e := range w.News() {
		names = append(names, e.Name)
	}
	expect.Equal(t, names, []string{"model.label.created", "model.user.updated", "model.profile.created"})
}
