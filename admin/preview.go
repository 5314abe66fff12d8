package admin

import (
	"context"

	"barong/internal/rest"
	"barong/internal/view"
	"barong/policy/editor"
)

// previewed says which change a preview is about.
type previewed struct {
	Operation string `name:"operation" enum:"create,update,delete" value:"admin.preview.invalid_operation" doc:"Absent: update with an id, create without one."`
	ID        *int64 `name:"id" rule:"nonblank" doc:"Of the row to change or delete."`
	Force     bool   `name:"force" doc:"What it would be with force."`
}

// target names the row of the change, nil for a new one, and reports whether it is removed.
func (p previewed) target() (id *int64, remove bool) {
	switch {
	case p.Operation == "create":
		return nil, false
	case p.Operation != "" && p.ID == nil:
		return new(int64), false // no row has it
	}
	return p.ID, p.Operation == "delete"
}

// show previews a change. all are the refusals of the change, of which a preview answers the token.
func show[C any](
	ctx context.Context, who staff, in previewed, all rest.Failure,
	preview func(context.Context, editor.Edit, C) (editor.Preview, error), of func(id *int64, remove bool) C,
) (view.Preview, error) {
	p, err := preview(ctx, editor.Edit{By: who.Actor, Force: in.Force}, of(in.target()))
	return view.PreviewOf(p, all.Token(p.Refusal)), err
}
