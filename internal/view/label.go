package view

import "barong/internal/account"

// Label is the users' view of a label; the description is for staff.
type Label struct {
	Key       string `json:"key"`
	Value     string `json:"value"`
	Scope     string `json:"scope"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}

// LabelOf shows l.
func LabelOf(l account.Label) Label {
	return Label{l.Key, l.Value, l.Scope, Time(l.CreatedAt), Time(l.UpdatedAt)}
}

// AdminLabelsOf shows all of list.
func AdminLabelsOf(list []account.Label) []AdminLabel {
	v := make([]AdminLabel, 0, len(list))
	for _, l := range list {
		v = append(v, AdminLabelOf(l))
	}
	return v
}

// LabelsOf shows all of list.
func LabelsOf(list []account.Label) []Label {
	v := make([]Label, 0, len(list))
	for _, l := range list {
		v = append(v, LabelOf(l))
	}
	return v
}

// AdminLabel is the staff's view of a label.
type AdminLabel struct {
	Key         string  `json:"key"`
	Value       string  `json:"value"`
	Scope       string  `json:"scope"`
	Description *string `json:"description"`
	CreatedAt   Time    `json:"created_at"`
	UpdatedAt   Time    `json:"updated_at"`
}

// AdminLabelOf shows l.
func AdminLabelOf(l account.Label) AdminLabel {
	return AdminLabel{l.Key, l.Value, l.Scope, l.Description, Time(l.CreatedAt), Time(l.UpdatedAt)}
}
