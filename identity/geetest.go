package identity

import (
	"context"
	"encoding/json"
	"log/slog"

	"barong/internal/limit"
	"barong/internal/rest"
)

type challenge struct {
	ID        string `json:"gt"`
	Challenge string `json:"challenge"`
}

func (a *API) geetest(g rest.Group[visitor]) {
	rest.Add(g, rest.Op{
		Method: "GET", Path: "/register_geetest", Cost: limit.Answer | called(a.Geetest != nil),
		Summary: `Start a GeeTest challenge {"gt", "challenge"}; "" when GeeTest is off or does not answer.`,
	}, a.registerGeetest)
}

func (a *API) registerGeetest(ctx context.Context, _ visitor, _ rest.None) (json.RawMessage, error) {
	none := json.RawMessage(`""`)
	if a.Geetest == nil {
		return none, nil
	}
	c, err := a.Geetest.Register(ctx)
	if err != nil {
		a.Log.WarnContext(ctx, "GeeTest does not answer",
			slog.String("request_id", rest.RequestID(ctx)), slog.Any("error", err))
		return none, nil
	}
	return json.Marshal(challenge{c.ID, c.Challenge})
}
