package view

import "barong/internal/person"

// DataStorage is a piece of text that a client keeps with its account.
type DataStorage struct {
	Title     string `json:"title"`
	Data      string `json:"data"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}

// DataStorageOf shows d.
func DataStorageOf(d person.DataStorage) DataStorage {
	return DataStorage{Title: d.Title, Data: d.Data, CreatedAt: Time(d.CreatedAt), UpdatedAt: Time(d.UpdatedAt)}
}
