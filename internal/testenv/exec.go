package testenv

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Exec runs one statement in a database of the server on a connection of its own, past every
// store; slices are arrays.
func (s *Server) Exec(ctx context.Context, database, statement string, args ...any) error {
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return fmt.Errorf("execute in %s: %w", database, err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement, args...); err != nil {
		return fmt.Errorf("execute in %s: %w", database, err)
	}
	return nil
}
