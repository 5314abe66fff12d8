package audit

import (
	"errors"
	"fmt"
	"time"
)

// Bounds that no setting moves; docs/limits.md names those of denials.
const (
	// DenialsPerMinute and DenialsPerDay are those of Config in the serving process.
	DenialsPerMinute = 60
	DenialsPerDay    = 1000

	defaultBatch = 256
)

// Config shapes a Writer. Queue and Flush are mandatory.
type Config struct {
	// Queue is how many activities wait in memory for the next batch.
	Queue int
	// Batch is how many rows one call of the store takes at most; 0 means 256.
	Batch int
	// Flush is the longest time that an activity is in memory only: after it, it is in the
	// store or in the spill file. kill -9 loses at most that much, and the count of the
	// denials folded in the running minute.
	Flush time.Duration
	// SpillPath is the file that takes rows while the store cannot, and SpillMax its largest
	// size in bytes; "" or 0 means none.
	SpillPath string
	SpillMax  int64
	// DenialsPerMinute is how many denials of one principal get a row of their own each
	// minute; those above become one row with their number. 0 folds none.
	DenialsPerMinute int
	// DenialsPerDay is how many rows of their own the denials of one principal get each UTC
	// day; with that many behind it, all of a minute become one row. 0 is no such bound.
	DenialsPerDay int
	// Required makes Record refuse as soon as the spill file is full, rather than go on in
	// memory as long as there is room in the queue.
	Required bool
}

// Validate lists every problem.
func (c Config) Validate() error {
	var problems []error
	if c.Queue < 1 || c.Queue > 1<<20 {
		problems = append(problems, fmt.Errorf("audit_queue is %d, want 1 to %d", c.Queue, 1<<20))
	}
	if c.Batch < 0 || c.Batch > 4096 {
		problems = append(problems, fmt.Errorf("batch is %d, want at most 4096", c.Batch))
	}
	if c.Flush < 10*time.Millisecond || c.Flush > time.Minute {
		problems = append(problems, fmt.Errorf("audit_flush_interval is %v, want 10ms to 1m", c.Flush))
	}
	if c.SpillMax < 0 || c.SpillMax > 0 && c.SpillMax < 2*maxRow {
		problems = append(problems, fmt.Errorf("audit_spill_max is %d bytes, want 0 or at least %d", c.SpillMax, 2*maxRow))
	}
	if c.DenialsPerMinute < 0 || c.DenialsPerDay < 0 {
		problems = append(problems, errors.New("denials per minute or day are negative"))
	}
	return errors.Join(problems...)
}
