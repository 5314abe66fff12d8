package view

// DataStorage is a piece of text that a client keeps with its account.
type DataStorage struct {
	Title     string `json:"title"`
	Data      string `json:"data"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}
