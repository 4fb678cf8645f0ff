package broker

import (
	"time"
)

// rateLimiter bounds the messages and bytes a client publishes. It belongs to the reader goroutine. Within the burst
// nothing is delayed; beyond it reading pauses for a moment, which TCP passes on to the client; a client that is too
// fast even so is disconnected with Message rate too high (0x96).
type rateLimiter struct {
	messages bucket
	bytes    bucket
}

// bucket holds tokens, which grow with time up to a burst.
type bucket struct {
	tokens float64
	last   int64
}

// take takes n tokens of a bucket that fills with rate tokens a second up to burst, and returns how long to wait until the
// debt is paid.
func (b *bucket) take(n, rate, burst float64, now int64) time.Duration {
	if rate <= 0 {
		return 0
	}
	b.tokens = min(burst, b.tokens+float64(now-b.last)*rate/1e9)
	b.last = now
	b.tokens -= n
	if b.tokens >= 0 {
		return 0
	}
	return time.Duration(-b.tokens / rate * 1e9)
}

func (r *rateLimiter) init(set *Settings, now int64) {
	r.messages = bucket{tokens: float64(max(set.PublishBurst, 1)), last: now}
	r.bytes = bucket{tokens: set.PublishBytesBurst, last: now}
}

// maxPause is the longest pause in reading when there is no Keep Alive.
const maxPause = 5 * time.Second

// allow counts one PUBLISH of size bytes and pauses the reader when the client is too fast. A pause is always shorter than a quarter
// of the Keep Alive; a debt that would need more ends the connection.
func (r *rateLimiter) allow(c *conn, w *work, size int) error {
	set := c.b.settings()
	wait := max(r.messages.take(1, set.PublishRate, float64(max(set.PublishBurst, 1)), w.now),
		r.bytes.take(float64(size), set.PublishBytesRate, set.PublishBytesBurst, w.now))
	if wait == 0 {
		return nil
	}
	limit := maxPause
	if c.keepAlive > 0 {
		limit = min(limit, c.keepAlive/6) // Keep Alive times 1.5 is in keepAlive: a quarter of it is a sixth
	}
	if wait > limit {
		if r.bytes.tokens < 0 && r.messages.tokens >= 0 {
			return limited(errRate, "limits.publish_bytes.per_client", "a client that goes on faster although its reading was delayed")
		}
		return limited(errRate, "limits.publish_rate.per_client", "a client that goes on faster although its reading was delayed")
	}
	c.b.stats.ratePauses.Add(1)
	pause := time.NewTimer(wait)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-c.ended:
	}
	w.now = c.b.now() // the rest of the batch is not charged for the pause
	c.lastRead.Store(w.now)
	return nil
}
