// Package ginbearer is the middleware of package bearer for gin.
package ginbearer

import (
	"github.com/gin-gonic/gin"

	"barong/bearer"
)

// Handler lets only requests with a token that is taken through, with their claims in the context of the
// request. It aborts all others with the answer of bearer.Refusal.
func Handler(v *bearer.Verifier) gin.HandlerFunc {
	return func(c *gin.Context) {
		claims, err := v.VerifyRequest(c.Request)
		if err != nil {
			status, header, body := bearer.Refusal(err)
			c.Header(header[0], header[1])
			c.Header("Cache-Control", "no-store")
			c.Data(status, "application/json", []byte(body))
			c.Abort()
			return
		}
		c.Request = c.Request.WithContext(bearer.NewContext(c.Request.Context(), claims))
		c.Next()
	}
}

// Claims returns the claims that Handler has left; false without it.
func Claims(c *gin.Context) (bearer.Claims, bool) { return bearer.FromContext(c.Request.Context()) }
