package view

import "barong/internal/person"

// Comment is a note of staff on a user.
type Comment struct {
	ID        int64  `json:"id"`
	AuthorUID string `json:"author_uid"`
	Title     string `json:"title"`
	Data      string `json:"data"`
	CreatedAt Time   `json:"created_at"`
	UpdatedAt Time   `json:"updated_at"`
}

// CommentOf shows c.
func CommentOf(c person.Comment) Comment {
	return Comment{c.ID, c.AuthorUID, c.Title, c.Data, Time(c.CreatedAt), Time(c.UpdatedAt)}
}
