package view

// Phone is a phone as its owner sees it; the number is masked by MaskPhone.
type Phone struct {
	Country     string     `json:"country"`
	Number      string     `json:"number"`
	ValidatedAt *MilliTime `json:"validated_at"`
}
