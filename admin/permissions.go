package admin

import (
	"context"
	"net/http"

	"barong/internal/feed"
	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/view"
	"barong/policy"
	"barong/policy/ability"
	"barong/policy/editor"
)

// permissions is the part of editor.Service about permissions.
type permissions interface {
	// PermissionPage lists rows by id, and counts all.
	PermissionPage(ctx context.Context, limit, offset int) ([]policy.Permission, int, error)
	// ChangePermission: ErrNotFound, ErrStale, Invalid, ErrTaken, ErrRoleInUse,
	// ErrWouldLockOut, ErrLastSuperadmin.
	ChangePermission(ctx context.Context, e editor.Edit, c editor.PermissionChange) (version feed.Cursor, err error)
	// PreviewPermission changes nothing: ErrNotFound, Invalid, ErrTaken.
	PreviewPermission(ctx context.Context, e editor.Edit, c editor.PermissionChange) (editor.Preview, error)
}

type newPermission struct {
	Role   string  `name:"role" rule:"required,nonblank"`
	Verb   string  `name:"verb" rule:"required,nonblank" doc:"GET, POST, DELETE, PUT, HEAD, PATCH or ALL, in any case."`
	Path   string  `name:"path" rule:"required,nonblank" doc:"A prefix on segment boundaries, as api/v2/barong/resource; * at its end makes it a raw one."`
	Action string  `name:"action" rule:"required,nonblank" doc:"ACCEPT, DROP or AUDIT, in any case."`
	Topic  *string `name:"topic" rule:"nonblank" doc:"Of the activities that an AUDIT row writes."`
	condition
}

type permissionChange struct {
	ID     int64   `name:"id" rule:"required,nonblank"`
	Role   *string `name:"role" rule:"nonblank"`
	Verb   *string `name:"verb" rule:"nonblank"`
	Path   *string `name:"path" rule:"nonblank"`
	Action *string `name:"action" rule:"nonblank"`
	Topic  *string `name:"topic" rule:"nonblank"`
	condition
}

type rowRef struct {
	ID int64 `name:"id" rule:"required,nonblank"`
	condition
}

// permissionTokens are those that have a name of their own (AZ-141).
func permissionTokens() map[string]string {
	return map[string]string{
		"verb.invalid":      "admin.permissions.invalid_verb",
		"action.invalid":    "admin.permissions.invalid_action",
		"role.doesnt_exist": "admin.permission.role_doesnt_exist",
		"role.blank":        "admin.permission.empty_role",
		"verb.blank":        "admin.permission.empty_verb",
		"path.blank":        "admin.permission.empty_path",
		"action.blank":      "admin.permission.empty_action",
	}
}

// rowFailures are those of a row that a change names, under a prefix of tokens.
func rowFailures(prefix string) []rest.Failure {
	return []rest.Failure{
		rest.On(policy.ErrNotFound, http.StatusNotFound, prefix+".doesnt_exist"),
		rest.On(editor.ErrStale, http.StatusPreconditionFailed, prefix+".stale"),
		rest.On(errIfMatch, http.StatusBadRequest, prefix+".invalid_if_match"),
		rest.On(editor.ErrWouldLockOut, http.StatusUnprocessableEntity, prefix+".would_lock_out"),
	}
}

// permissionRules are the rules that a permission can break.
func permissionRules() []rest.Failure {
	return []rest.Failure{
		rest.On(policy.ErrTaken, http.StatusUnprocessableEntity, "path.taken"),
		rest.Rules("admin.permissions.invalid_verb", "admin.permissions.invalid_action",
			"admin.permission.role_doesnt_exist", "admin.permission.empty_role", "admin.permission.empty_verb",
			"admin.permission.empty_path", "admin.permission.empty_action",
			"path.invalid", "path.too_long", "role.too_long", "topic.too_long"),
	}
}

func (a *API) permissions(g *rest.Group) {
	row := append(rowFailures("admin.permission"),
		rest.On(editor.ErrLastSuperadmin, http.StatusUnprocessableEntity, "admin.permission.last_superadmin"),
		rest.On(editor.ErrRoleInUse, http.StatusUnprocessableEntity, "admin.permission.role_in_use"))
	all := append(permissionRules(), row...)
	rest.Add(g, rest.Op{
		Method: http.MethodGet, Status: http.StatusOK,
		Cost:    limit.List,
		Summary: "List permissions, by id.",
	}, may(a, a.listPermissions, need{ability.Read, ability.SubjectPermission}))
	rest.Add(g, rest.Op{
		Method: http.MethodPost, Status: http.StatusCreated, Reference: http.StatusOK,
		Cost:    limit.Staff,
		Summary: "Add a permission.", Errors: all,
	}, may(a, a.addPermission, need{ability.Create, ability.SubjectPermission}))
	rest.Add(g, rest.Op{
		Method: http.MethodPut, Status: http.StatusOK,
		Cost:    limit.Staff,
		Summary: "Change the fields of a permission that are sent.", Errors: all,
	}, may(a, a.changePermission, need{ability.Update, ability.SubjectPermission}))
	rest.Add(g, rest.Op{
		Method: http.MethodDelete, Status: http.StatusNoContent, Reference: http.StatusOK,
		Cost:    limit.Staff,
		Summary: "Delete a permission.", Errors: row,
	}, may(a, a.removePermission, need{ability.Destroy, ability.SubjectPermission}))
	rest.Add(g, rest.Op{
		Method: http.MethodPost, Path: "/preview", Status: http.StatusOK,
		Cost:    limit.Preview,
		Summary: "Preview the decisions that a change to a permission would turn; nothing is changed.",
		Errors: append(permissionRules(),
			rest.On(policy.ErrNotFound, http.StatusNotFound, "admin.permission.doesnt_exist")),
	}, may(a, a.previewPermission, need{ability.Read, ability.SubjectPermission}))
}

func (a *API) listPermissions(ctx context.Context, _ staff, in rest.Paging) (out rest.Page[view.Permission], err error) {
	list, total, err := a.Policy.PermissionPage(ctx, in.Limit, in.Offset())
	if err != nil {
		return out, err
	}
	return rest.Page[view.Permission]{Items: PermissionsOf(list), Total: total, Paging: in}, nil
}

func (a *API) addPermission(ctx context.Context, who staff, in newPermission) (rest.Also[rest.None, policyVersion], error) {
	return a.writePermission(ctx, who, in.condition, editor.PermissionChange{
		Role: &in.Role, Verb: &in.Verb, Path: &in.Path, Action: &in.Action, Topic: in.Topic,
	})
}

func (a *API) changePermission(ctx context.Context, who staff, in permissionChange) (rest.Also[rest.None, policyVersion], error) {
	if in.ID == 0 { // no row has it, and for the service it means a new one
		return done(feed.Cursor{}, policy.ErrNotFound)
	}
	return a.writePermission(ctx, who, in.condition, editor.PermissionChange{
		ID: in.ID, Role: in.Role, Verb: in.Verb, Path: in.Path, Action: in.Action, Topic: in.Topic,
	})
}

func (a *API) removePermission(ctx context.Context, who staff, in rowRef) (rest.Also[rest.None, policyVersion], error) {
	return a.writePermission(ctx, who, in.condition, editor.PermissionChange{ID: in.ID, Remove: true})
}

func (a *API) writePermission(
	ctx context.Context, who staff, c condition, change editor.PermissionChange,
) (rest.Also[rest.None, policyVersion], error) {
	e, err := c.edit(who)
	if err != nil {
		return done(feed.Cursor{}, err)
	}
	version, err := a.Policy.ChangePermission(ctx, e, change)
	return done(version, tokens(err, permissionTokens()))
}
