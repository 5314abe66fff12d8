package account

import (
	"context"
	"time"
)

// SetSleep replaces the wait of refused sign-ins.
func (s *Service) SetSleep(sleep func(context.Context, time.Duration)) { s.sleep = sleep }
