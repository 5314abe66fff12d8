package identity

import (
	"context"
	"encoding/json"
	"log/slog"

	"barong/internal/captcha"
	"barong/internal/limit"
	"barong/internal/rest"
)

// captchaInput is the parameter of endpoints that captchas may protect.
type captchaInput struct {
	Captcha rest.TextOrObject `name:"captcha_response" in:"body"`
}

func (in captchaInput) response() captcha.Response {
	return captcha.ResponseOf(in.Captcha.Text, in.Captcha.Object)
}

type challenge struct {
	ID        string `json:"gt"`
	Challenge string `json:"challenge"`
}

// captchaErrors are the refusals of a captcha.
var captchaErrors = rest.All(
	rest.On(captcha.ErrRequired, 400, "identity.captcha.required"),
	rest.On(captcha.ErrFields, 400, "identity.captcha.mandatory_fields"),
	rest.On(captcha.ErrFailed, 422, "identity.captcha.verification_failed"))

// called is the cost of asking a provider where there is one.
func called(one bool) limit.Cost {
	if one {
		return limit.Call
	}
	return 0
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
