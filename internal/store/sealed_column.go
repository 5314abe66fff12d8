package store

import (
	"fmt"
	"slices"
)

// A SealedColumn is a column of sealed values. Each opens only for its table, its column and the uuid
// of its row.
type SealedColumn struct {
	Table, Column string
	// Index is the blind index of the value, if it is looked up; its id of the key is in IndexKey.
	// Indexed is the form of the value that the index is of; nil is the value itself.
	Index, IndexKey string
	Indexed         func(plain string) string
}

// sealedColumns are all of them, in the order in which Reseal goes over them: seal refuses any other.
var sealedColumns = []SealedColumn{
	{Table: sealCheckTable, Column: sealCheckColumn},
	{Table: signingKeysTable, Column: signingKeysPEM},
	{Table: apikeysTable, Column: apikeysSecret},
	{Table: totpTable, Column: totpSecret},
	{Table: passkeysTable, Column: passkeyName},
	{Table: profilesTable, Column: "first_name"},
	{Table: profilesTable, Column: "last_name"},
	{Table: profilesTable, Column: "dob"},
	{Table: profilesTable, Column: "address"},
	{Table: phonesTable, Column: phoneNumber, Index: "number_index", IndexKey: "index_key"},
	{Table: documentsTable, Column: "doc_number"},
	{Table: documentsTable, Column: "file_name"},
	{Table: documentsTable, Column: "address"},
	{Table: commentsTable, Column: "title"},
	{Table: commentsTable, Column: "data"},
	{Table: outboxTable, Column: outboxPayload},
}

// SealedColumns lists all columns of sealed values.
func SealedColumns() []SealedColumn { return slices.Clone(sealedColumns) }

// declared is an error for a column that Reseal would not know.
func declared(table, column string) error {
	if slices.ContainsFunc(sealedColumns, func(c SealedColumn) bool { return c.Table == table && c.Column == column }) {
		return nil
	}
	return fmt.Errorf("%s.%s is not in sealedColumns: it would be lost with the key of today", table, column)
}
