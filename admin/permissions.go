package admin

import (
	"context"

	"barong/internal/limit"
	"barong/internal/rest"
	"barong/internal/view"
	"barong/policy"
	"barong/policy/ability"
	"barong/policy/editor"
)

type permissionInput struct {
	Role   string  `name:"role" rule:"required,nonblank"`
	Verb   string  `name:"verb" rule:"required,nonblank" doc:"GET, POST, DELETE, PUT, HEAD, PATCH or ALL, in any case."`
	Path   string  `name:"path" rule:"required,nonblank" doc:"A prefix on segment boundaries, as api/v2/barong/resource; * at its end makes it a raw one."`
	Action string  `name:"action" rule:"required,nonblank" doc:"ACCEPT, DROP or AUDIT, in any case."`
	Topic  *string `name:"topic" rule:"nonblank" doc:"Of the activities that an AUDIT row writes."`
	condition
}

// permissionFields are those that a change sets; absent ones stay.
type permissionFields struct {
	Role   *string `name:"role" rule:"nonblank"`
	Verb   *string `name:"verb" rule:"nonblank"`
	Path   *string `name:"path" rule:"nonblank"`
	Action *string `name:"action" rule:"nonblank"`
	Topic  *string `name:"topic" rule:"nonblank"`
}

func (f permissionFields) change(id *int64, remove bool) editor.PermissionChange {
	return editor.PermissionChange{
		ID: id, Remove: remove, Role: f.Role, Verb: f.Verb, Path: f.Path, Action: f.Action, Topic: f.Topic,
	}
}

type permissionChange struct {
	rowRef
	permissionFields
	condition
}

type previewedPermission struct {
	previewed
	permissionFields
}

type permissionPage struct {
	ID       *int64           `name:"id"`
	Role     *string          `name:"role"`
	Verb     *string          `name:"verb" doc:"In any case."`
	Path     *string          `name:"path" doc:"The beginning of the row's path."`
	Action   *string          `name:"action" doc:"In any case."`
	Topic    *string          `name:"topic"`
	Ordering string           `name:"ordering" enum:"asc,desc" default:"asc" value:"permissions.ordering.invalid_ordering"`
	OrderBy  permissionColumn `name:"order_by" default:"id" doc:"Rows that are equal in it are in the order of their making."`
	rest.Paging
}

// permissionColumn is the word of an order.
type permissionColumn string

func (permissionColumn) Values() ([]string, string) {
	return editor.PermissionOrders(), "permissions.ordering.invalid_attribute"
}

// rowRef names a row.
type rowRef struct {
	ID          int64  `name:"id" rule:"required,nonblank"`
	LockVersion *int64 `name:"lock_version" rule:"nonblank" doc:"The one that the row must have, as If-Match says it, too; absent is any."`
}

type removal struct {
	rowRef
	condition
}

// newErrors are those of every change of the policy, rowErrors those of a row that a change names.
var (
	newErrors = rest.All(asked,
		rest.On(rest.ErrIfMatch, 400, ".invalid_if_match"),
		rest.On(editor.ErrWouldLockOut, 422, ".would_lock_out"))
	rowErrors = rest.All(
		rest.On(policy.ErrNotFound, 404, ".doesnt_exist"),
		rest.On(editor.ErrStale, 412, ".stale"), rest.On(errOutdated, 409, ".stale"),
		newErrors)
	permissionErrors = rest.All(rowErrors,
		rest.On(editor.ErrLastSuperadmin, 422, ".last_superadmin"),
		rest.On(editor.ErrRoleInUse, 422, ".role_in_use"))
	permissionWords = rest.All(
		rest.Rule("verb.invalid", "admin.permissions.invalid_verb"), // AZ-141
		rest.Rule("action.invalid", "admin.permissions.invalid_action"),
		rest.Rule("verb.blank", ".empty_verb"), rest.Rule("action.blank", ".empty_action"))
	permissionRules = rest.All(
		taken("/permissions", "path.taken"),
		permissionWords,
		rest.Rule("role.doesnt_exist", ".role_doesnt_exist"),
		rest.Rule("role.blank", ".empty_role"), rest.Rule("path.blank", ".empty_path"),
		rest.Rules("path.invalid", "path.too_long", "role.too_long", "topic.too_long"))
)

func (a *API) permissions(s section) {
	rest.Add(s.may(ability.Read), rest.Op{
		Method: "GET", Summary: "List permissions, by id or as ordering and order_by say.", Errors: permissionWords,
	}, a.listPermissions)
	rest.Add(s.may(ability.Create), rest.Op{
		Method: "POST", Reference: 200, Summary: "Add a permission.", Errors: rest.All(permissionRules, newErrors),
	}, a.addPermission)
	rest.Add(s.may(ability.Update), rest.Op{
		Method: "PUT", Summary: "Change the fields of a permission that are sent.",
		Errors: rest.All(permissionRules, permissionErrors),
	}, a.changePermission)
	rest.Add(s.may(ability.Destroy), rest.Op{
		Method: "DELETE", Reference: 200, Summary: "Delete a permission.", Errors: permissionErrors,
	}, a.removePermission)
	rest.Add(s.may(ability.Read), rest.Op{
		Method: "POST", Path: "/preview", Status: 200, Cost: limit.Preview,
		Summary: "Preview the decisions that a change to a permission would turn; nothing is changed.",
		Errors:  rest.All(permissionRules, rest.On(policy.ErrNotFound, 404, ".doesnt_exist")),
	}, a.previewPermission)
}

func (a *API) listPermissions(ctx context.Context, _ staff, in permissionPage) (rest.Page[view.Permission], error) {
	list, total, err := a.Policy.PermissionPage(ctx, editor.PermissionQuery{
		ID: in.ID, Role: in.Role, Verb: in.Verb, Path: in.Path, Action: in.Action, Topic: in.Topic,
		Order: editor.Order{By: string(in.OrderBy), Desc: in.Ordering == "desc"},
		Limit: in.Limit, Offset: in.Offset(),
	})
	return rest.PageOf(list, total, in.Paging, view.PermissionOf), err
}

func (a *API) addPermission(ctx context.Context, who staff, in permissionInput) (added, error) {
	return add(ctx, who, "/permissions", in.condition, a.Policy.ChangePermission, editor.PermissionChange{
		Role: &in.Role, Verb: &in.Verb, Path: &in.Path, Action: &in.Action, Topic: in.Topic,
	})
}

func (a *API) changePermission(ctx context.Context, who staff, in permissionChange) (changed, error) {
	return write(ctx, who, in.rowRef, in.condition, a.Policy.ChangePermission, in.change(&in.ID, false))
}

func (a *API) removePermission(ctx context.Context, who staff, in removal) (changed, error) {
	return write(ctx, who, in.rowRef, in.condition, a.Policy.ChangePermission, editor.PermissionChange{ID: &in.ID, Remove: true})
}

func (a *API) previewPermission(ctx context.Context, who staff, in previewedPermission) (view.Preview, error) {
	return show(ctx, who, in.previewed, permissionErrors.Under("admin.permission"), a.Policy.PreviewPermission, in.change)
}
