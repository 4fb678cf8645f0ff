package broker

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// turnedAway expects that the broker closes a connection without a word.
func turnedAway(c *client) {
	c.t.Helper()
	c.send(connectPacket("x"))
	c.closed()
	c.drop()
}

func TestLimitClients(t *testing.T) {
	bubble(t, func(r *rig) {
		first := r.connect("1")
		r.connect("2")
		turnedAway(r.open())
		if !r.logged("limit reached", "check=limits.clients", "at most") {
			t.Error("not in the log")
		}
		first.leave()
		r.connect("3")
	}, with(func(s *Settings) { s.MaxClients = 2 }))
}

func TestLimitClientsOfListener(t *testing.T) {
	bubble(t, func(r *rig) {
		first := r.connect("1")
		turnedAway(r.open())
		if !r.logged("limit reached", "check=listeners[].max_clients") {
			t.Error("not in the log")
		}
		first.leave()
		r.connect("2")
	}, with(func(s *Settings) { s.Listeners = map[string]ListenerLimits{"test": {MaxClients: 1, MaxPacket: 1000}} }))
}

// TestLimitPerAddress: an IPv4 address is counted by itself, IPv6 addresses by their /64, loopback not at all.
func TestLimitPerAddress(t *testing.T) {
	for _, c := range []struct {
		name, first, second string
		refused             bool
	}{
		{"same", "192.0.2.9:1", "192.0.2.9:2", true},
		{"other", "192.0.2.9:1", "192.0.2.10:1", false},
		{"mapped", "192.0.2.9:1", "[::ffff:192.0.2.9]:1", true},
		{"same network", "[2001:db8::1]:1", "[2001:db8::ffff:2]:1", true},
		{"other network", "[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"loopback", "127.0.0.1:1", "127.0.0.1:2", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				r.openFrom(link{from: c.first}).login("1")
				second := r.openFrom(link{from: c.second})
				if !c.refused {
					second.login("2")
					return
				}
				turnedAway(second)
				if !r.logged("limit reached", "check=limits.connections_per_address") {
					t.Error("not in the log")
				}
			}, with(func(s *Settings) { s.MaxPerAddress = 1 }))
		})
	}
}

// TestLimitPacketSizes: a packet of exactly the limit is taken, one byte more ends the connection, before and after the
// login; the client was told.
func TestLimitPacketSizes(t *testing.T) {
	const connectLimit, limit, listenerLimit = 100, 300, 200
	sized := func(c *client, p mqtt.Packet, fill *string, size int) []byte {
		*fill = "x"
		*fill = strings.Repeat("x", 1+size-len(c.encode(nil, p)))
		return c.encode(nil, p)
	}
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprint("listener's own ", own), func(t *testing.T) {
			limit := limit
			if own {
				limit = listenerLimit
			}
			bubble(t, func(r *rig) {
				p := connectPacket("")
				p.HasUsername = true
				over := r.open()
				over.raw(sized(over, p, &p.Username, connectLimit+1)...)
				over.closed() // before its version is known
				fits := r.open()
				fits.raw(sized(fits, p, &p.Username, connectLimit)...)
				ack := expect[*mqtt.Connack](fits)
				if ack.ReasonCode != mqtt.Success || ack.Properties.MaximumPacketSize != uint32(limit) {
					t.Fatalf("%+v", ack)
				}
				m := msg("", "", 0)
				fits.raw(sized(fits, m, &m.Topic, limit-1)...) // its Remaining Length takes two bytes
				fits.ping()
				fits.raw(sized(fits, m, &m.Topic, limit)...)
				fits.ejected(mqtt.PacketTooLarge)
			}, with(func(s *Settings) {
				s.MaxConnectPacket, s.MaxPacket = connectLimit, limit
				if own {
					s.Listeners = map[string]ListenerLimits{"test": {MaxClients: 10, MaxPacket: listenerLimit}}
				}
			}))
		})
	}
}

// TestLimitPublishRate: within the burst nothing waits, beyond it reading pauses, and what cannot be made good ends the
// connection.
func TestLimitPublishRate(t *testing.T) {
	bubble(t, func(r *rig) {
		c := r.connect("c")
		begin := time.Now()
		for range 10 {
			c.publish(msg("a", "", 0))
		}
		c.ping()
		if d := time.Since(begin); d != 0 {
			t.Errorf("a burst takes %v", d)
		}
		for range 20 {
			c.publish(msg("a", "", 0))
		}
		c.ping()
		if d := time.Since(begin); d < 9*time.Second || d > 11*time.Second {
			t.Errorf("20 messages at 2/s take %v", d)
		}
		if r.b.stats.ratePauses.Load() == 0 {
			t.Error("not counted")
		}
	}, with(func(s *Settings) { s.PublishRate, s.PublishBurst = 2, 10 }))
}

// TestLimitPublishBytes: every byte of the packet counts, not the payload alone.
func TestLimitPublishBytes(t *testing.T) {
	for _, where := range []string{"payload", "topic", "property"} {
		t.Run(where, func(t *testing.T) {
			bubble(t, func(r *rig) {
				c := r.connect("c", keepAlive(60))
				big := strings.Repeat("x", 30_000)
				p := msg("a", "", 0)
				switch where {
				case "payload":
					p.Payload = []byte(big)
				case "topic":
					p.Topic = big
				case "property":
					p.Properties.AddUser("k", big)
				}
				c.publish(p)
				c.ping()
				c.publish(p) // 20000 bytes too many at 1000/s would be a pause of 20 s
				c.ejected(mqtt.MessageRateTooHigh)
			}, with(func(s *Settings) { s.PublishBytesRate, s.PublishBytesBurst = 1000, 40_000 }))
		})
	}
}

// TestLimitUnackedV3: MQTT 3 knows no Receive Maximum, so one message or byte too many closes the connection.
func TestLimitUnackedV3(t *testing.T) {
	for _, c := range []struct {
		name     string
		size     int
		messages int // that are taken
	}{
		{"messages", 10, 5},
		{"bytes", 400, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				r.connect("sub", expiry(60)).subscribe(1, "a")
				pub := r.connect("pub", v3)
				r.store.close() // nothing is acknowledged meanwhile
				for range c.messages {
					p := msg("a", strings.Repeat("x", c.size), 1)
					p.PacketID = pub.id()
					pub.send(p)
				}
				pub.ping()
				p := msg("a", strings.Repeat("x", c.size), 1)
				p.PacketID = pub.id()
				pub.send(p)
				pub.closed()
			}, with(func(s *Settings) { s.UnackedMessagesV3, s.UnackedBytes = 5, 1000 }))
		})
	}
}

// TestLimitInflight: the broker's own bound holds for every version, and a smaller Receive Maximum of the client wins.
func TestLimitInflight(t *testing.T) {
	for name, c := range map[string]struct {
		opts []setup
		want int
	}{
		"v3":      {[]setup{v3}, 4},
		"v5":      {nil, 4},
		"smaller": {[]setup{func(p *mqtt.Connect) { p.Properties.SetReceiveMaximum(2) }}, 2},
		"larger":  {[]setup{func(p *mqtt.Connect) { p.Properties.SetReceiveMaximum(1000) }}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				sub := r.connect("sub", c.opts...)
				sub.subscribe(1, "a")
				pub := r.connect("pub")
				for i := range 10 {
					pub.publish(msg("a", fmt.Sprint(i), 1))
				}
				var open []*mqtt.Publish
				for i := range c.want {
					open = append(open, sub.next("a", fmt.Sprint(i)))
				}
				sub.quiet()
				sub.acknowledge(open[0])
				sub.next("a", fmt.Sprint(c.want))
				sub.quiet()
			}, with(func(s *Settings) { s.SendQuota = 4 }))
		})
	}
}

// TestLimitQueue: an offline session takes what its limits say and keeps it; the publisher is not told.
func TestLimitQueue(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Settings)
		size   int
		want   int // messages kept
	}{
		"messages": {func(s *Settings) { s.Queue.Messages = 3 }, 10, 3},
		"bytes":    {func(s *Settings) { s.Queue.Bytes = 2500 }, 1000, 2},
		"total":    {func(s *Settings) { s.QueueTotalBytes = 2500 }, 1000, 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				sub := r.connect("sub", expiry(600))
				sub.subscribe(1, "a")
				sub.drop()
				pub := r.connect("pub")
				for i := range 6 {
					if code := pub.publish(msg("a", fmt.Sprint(i)+strings.Repeat("x", c.size), 1)); code != mqtt.Success {
						t.Errorf("message %d: %v", i, code)
					}
				}
				if i, err := r.b.Session("sub"); err != nil || i.QueuedMessages != c.want {
					t.Errorf("%+v %v, want %d messages", i, err, c.want)
				}
				if !r.logged("queue is full", "client=sub") || r.b.Snapshot().QueueFull != int64(6-c.want) {
					t.Error("not in the log, or not counted")
				}
				sub = r.connect("sub", dirty, expiry(600))
				for i := range c.want {
					sub.receive("a", fmt.Sprint(i)+strings.Repeat("x", c.size))
				}
				sub.quiet()
				if n := r.b.Snapshot().QueuedBytes; n != 0 {
					t.Errorf("%d bytes counted for an empty queue", n)
				}
			}, with(c.change))
		})
	}
}

// TestLimitQueueTotalOnline: the bound on all queues holds for a client that is online and behind, too, and leaves one
// that keeps up alone.
func TestLimitQueueTotalOnline(t *testing.T) {
	bubble(t, func(r *rig) {
		slow := r.connect("slow")
		slow.subscribe(1, "a")
		fast := r.connect("fast")
		fast.subscribe(1, "a")
		pub := r.connect("pub")
		for i := range 6 {
			pub.publish(msg("a", fmt.Sprint(i)+strings.Repeat("x", 1000), 1))
			fast.receive("a", fmt.Sprint(i)+strings.Repeat("x", 1000))
		}
		// One is in flight to the slow client, two wait; the rest was not accepted.
		if i, err := r.b.Session("slow"); err != nil || i.Inflight != 1 || i.QueuedMessages != 2 {
			t.Errorf("%+v %v", i, err)
		}
		if n := r.b.Snapshot().QueuedBytes; n > 2500 {
			t.Errorf("%d bytes", n)
		}
	}, with(func(s *Settings) { s.SendQuota, s.QueueTotalBytes = 1, 2500 }))
}

// TestLimitQoS0Offline: off, QoS 0 messages pass a client that is away; on, they wait for it.
func TestLimitQoS0Offline(t *testing.T) {
	for _, on := range []bool{false, true} {
		bubble(t, func(r *rig) {
			sub := r.connect("sub", expiry(600))
			sub.subscribe(0, "a")
			sub.drop()
			pub := r.connect("pub")
			pub.publish(msg("a", "x", 0))
			pub.ping()
			sub = r.connect("sub", dirty, expiry(600))
			if on {
				sub.receive("a", "x")
			}
			sub.quiet()
		}, with(func(s *Settings) { s.QueueQoS0 = on }))
	}
}

// TestAttack41_RetainedBomb runs into the limits of Retained Messages: the count, and the bytes of topic, properties and
// payload together. The caps on expiry and delay are TestLimitExpiry's.
func TestAttack41_RetainedBomb(t *testing.T) {
	t.Run("count", func(t *testing.T) {
		bubble(t, func(r *rig) {
			pub := r.connect("pub")
			for i := range 5 {
				want := mqtt.Success
				if i >= 3 {
					want = mqtt.QuotaExceeded
				}
				if code := pub.publish(retain(fmt.Sprint(i), "x")); code != want {
					t.Errorf("message %d: %v", i, code)
				}
			}
			if code := pub.publish(retain("0", "y")); code != mqtt.Success {
				t.Errorf("replaced: %v", code)
			}
			pub.publish(retain("0", ""))
			if code := pub.publish(retain("4", "x")); code != mqtt.Success {
				t.Errorf("after one was cleared: %v", code)
			}
			if n := r.rows().Retained; n != 3 {
				t.Errorf("%d rows", n)
			}
		}, with(func(s *Settings) { s.RetainedMessages = 3 }))
	})
	t.Run("bytes", func(t *testing.T) {
		bubble(t, func(r *rig) {
			pub := r.connect("pub")
			for i := range 8 {
				pub.publish(retain(fmt.Sprint(i), "x"))
			}
			big := strings.Repeat("x", 2000)
			for i := range 8 { // the same topic and payload, and yet more
				p := retain(fmt.Sprint(i), "x")
				p.Properties.AddUser("k", big)
				code := pub.publish(p)
				if n := r.b.retained.Bytes(); n > r.set.RetainedBytes {
					t.Fatalf("%d bytes", n)
				}
				if i > 0 && code != mqtt.QuotaExceeded {
					t.Errorf("message %d: %v", i, code)
				}
			}
			if code := pub.publish(retain("new", big)); code != mqtt.QuotaExceeded {
				t.Error(code)
			}
			if code := pub.publish(retain("7", "y")); code != mqtt.Success {
				t.Errorf("nothing larger: %v", code)
			}
		}, with(func(s *Settings) { s.RetainedBytes = 4000 }))
	})
	t.Run("principal", func(t *testing.T) {
		bubble(t, func(r *rig) {
			hog, other := r.connect("hog", user("hog")), r.connect("other", user("other"))
			for i := range 4 {
				want := mqtt.Success
				if i >= 3 {
					want = mqtt.QuotaExceeded
				}
				if code := hog.publish(retain(fmt.Sprint(i), "x")); code != want {
					t.Errorf("message %d: %v", i, code)
				}
			}
			if code := other.publish(retain("3", "x")); code != mqtt.Success {
				t.Errorf("of somebody else: %v", code)
			}
			if code := hog.publish(retain("3", "y")); code != mqtt.QuotaExceeded {
				t.Errorf("in place of somebody else's: %v", code)
			}
			if code := hog.publish(retain("0", "y")); code != mqtt.Success {
				t.Errorf("in place of its own: %v", code)
			}
			if code := other.publish(retain("0", "z")); code != mqtt.Success {
				t.Errorf("taken over: %v", code)
			}
			if code := hog.publish(retain("4", "x")); code != mqtt.Success {
				t.Errorf("after one was taken over: %v", code)
			}
			big := strings.Repeat("x", 3000)
			if code := other.publish(retain("0", big)); code != mqtt.QuotaExceeded {
				t.Errorf("bytes: %v", code)
			}
			if code := other.publish(retain("0", "")); code != mqtt.Success {
				t.Errorf("cleared: %v", code)
			}
		}, with(func(s *Settings) { s.RetainedMessagesPerOwner, s.RetainedBytesPerOwner = 3, 2000 }))
	})
	t.Run("v3", func(t *testing.T) {
		bubble(t, func(r *rig) {
			pub := r.connect("pub", v3)
			p := retain("a", "x")
			p.PacketID = pub.id()
			pub.send(p)
			pub.closed()
		}, with(func(s *Settings) { s.RetainedMessages = 0 }))
	})
}

// TestLimitSessionsPerPrincipal is attack 40: however many clients a principal starts at once, it leaves no more durable
// sessions than it may, others are not affected, and the end of a session makes room.
func TestLimitSessionsPerPrincipal(t *testing.T) {
	bubble(t, func(r *rig) {
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				c := r.open()
				c.send(connectPacket(fmt.Sprint("c", i), user("mallory"), expiry(100)))
				_, _ = c.read()
			})
		}
		all.Wait()
		r.settle()
		if n := r.rows().Sessions; n != 5 {
			t.Errorf("%d sessions stored", n)
		}
		r.connect("other", user("alice"), expiry(100))
		r.connect("passing", user("mallory")) // without a durable session
		page, _ := r.b.Sessions("c", "", 100)
		if len(page) != 5 {
			t.Fatalf("%d sessions", len(page))
		}
		if _, err := r.b.Clear(page[0].ClientID); err != nil {
			t.Fatal(err)
		}
		r.connect("again", user("mallory"), expiry(100))
	}, with(func(s *Settings) { s.SessionsPerOwner = 5 }))
}

// TestAttack40_ExpiryFreesAll: sessions with full queues leave nothing behind, neither in memory nor on disk.
func TestAttack40_ExpiryFreesAll(t *testing.T) {
	bubble(t, func(r *rig) {
		for i := range 50 {
			c := r.connect(fmt.Sprint("c", i), expiry(0xFFFFFFFE))
			c.subscribe(1, "a", "$share/g/b")
			c.drop()
		}
		pub := r.connect("pub")
		for range 20 {
			pub.publish(msg("a", strings.Repeat("x", 1000), 1))
			pub.publish(msg("b", strings.Repeat("x", 1000), 2))
		}
		if n := r.b.Snapshot(); n.QueuedBytes < 50*10*1000 || n.QueuedBytes > r.set.QueueTotalBytes {
			t.Errorf("%d bytes", n.QueuedBytes)
		}
		r.wait(61 * time.Second) // what was asked for is a hundred years
		n := r.b.Snapshot()
		if n.Sessions != 1 || n.QueuedBytes != 0 || n.Subscriptions != 0 || r.b.groups.len() != 0 || r.b.owners.len() != 0 {
			t.Errorf("left behind: %+v, %d groups, %d owners", n, r.b.groups.len(), r.b.owners.len())
		}
		if rows := r.rows(); rows != rows0 {
			t.Errorf("left on disk: %+v", rows)
		}
	}, with(func(s *Settings) { s.SessionExpiryMax, s.Queue.Messages, s.QueueTotalBytes = 60, 10, 1<<20 }))
}

var rows0 rows

// TestLimitExpiry: what a client asks for is cut to the limits, and an MQTT 5 client is told.
func TestLimitExpiry(t *testing.T) {
	caps := with(func(s *Settings) {
		s.SessionExpiryMax, s.SessionExpiryV3, s.WillDelayMax, s.MessageExpiryMax, s.KeepAliveMax = 60, 30, 5, 10, 100
	})
	t.Run("session", func(t *testing.T) {
		bubble(t, func(r *rig) {
			for _, c := range []struct {
				opts []setup
				ends time.Duration
			}{
				{[]setup{expiry(0xFFFFFFFF)}, 60 * time.Second},
				{[]setup{expiry(61)}, 60 * time.Second},
				{[]setup{expiry(20)}, 20 * time.Second},
				{[]setup{v3, dirty}, 30 * time.Second},
			} {
				cl := r.connect("c", c.opts...)
				if told := cl.ack.Properties.SessionExpiry; c.ends == time.Minute && told != 60 {
					t.Errorf("told %d", told)
				}
				cl.leave()
				r.wait(c.ends - 5*time.Second)
				if _, err := r.b.Session("c"); err != nil {
					t.Errorf("ended before %v: %v", c.ends, err)
				}
				r.wait(10 * time.Second)
				if _, err := r.b.Session("c"); err == nil {
					t.Errorf("lives longer than %v", c.ends)
				}
			}
		}, caps)
	})
	t.Run("session in disconnect", func(t *testing.T) {
		bubble(t, func(r *rig) {
			c := r.connect("c", expiry(1))
			d := &mqtt.Disconnect{}
			d.Properties.SetSessionExpiry(0xFFFFFFFF)
			c.send(d)
			c.closed()
			r.wait(61 * time.Second)
			if _, err := r.b.Session("c"); err == nil {
				t.Error("lives longer than the limit")
			}
		}, caps)
	})
	t.Run("will delay", func(t *testing.T) {
		bubble(t, func(r *rig) {
			watch := r.connect("watch", keepAlive(0))
			watch.subscribe(1, "will")
			begin := time.Now()
			r.connect("c", expiry(60), withWill("will", 0xFFFFFFFF)).drop()
			watch.receive("will", "will")
			if d := time.Since(begin); d < 5*time.Second || d > 6*time.Second {
				t.Errorf("published after %v", d)
			}
		}, caps)
	})
	t.Run("message", func(t *testing.T) {
		bubble(t, func(r *rig) {
			pub := r.connect("pub")
			pub.publish(retain("none", "x"))
			long := retain("long", "x")
			long.Properties.SetMessageExpiry(1000)
			pub.publish(long)
			r.connect("c", withWill("will", 0), func(p *mqtt.Connect) { p.Will.Retain = true }).drop()
			if got := retainedTopics(r, "#", 10); len(got) != 3 {
				t.Fatalf("%v", got)
			}
			r.wait(11 * time.Second)
			if got := retainedTopics(r, "#", 10); len(got) != 0 {
				t.Errorf("kept longer than the limit: %v", got)
			}
		}, caps)
	})
	t.Run("keep alive", func(t *testing.T) {
		bubble(t, func(r *rig) {
			for seconds, want := range map[uint16]uint16{0: 100, 101: 100, 65535: 100, 100: 0, 10: 0} {
				c := r.connect("c", keepAlive(seconds))
				if got := c.ack.Properties.ServerKeepAlive; got != want {
					t.Errorf("keep alive %d: told %d, want %d", seconds, got, want)
				}
				c.leave()
			}
			c := r.connect("c", keepAlive(0))
			r.wait(151 * time.Second)
			c.ejected(mqtt.KeepAliveTimeout)
			old := r.connect("old", v3, keepAlive(200)) // cannot be told, so its own holds
			r.wait(299 * time.Second)
			old.ping()
		}, caps)
	})
}

// TestLimitAckWait: a subscriber that is online and behind delays the acknowledgement, and no longer than that.
func TestLimitAckWait(t *testing.T) {
	bubble(t, func(r *rig) {
		sub := r.connect("sub")
		sub.subscribe(1, "a")
		pub := r.connect("pub")
		begin := time.Now()
		for i := range 3 { // one in flight, two in the queue
			pub.publish(msg("a", fmt.Sprint(i), 1))
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("within the limit: %v", d)
		}
		pub.publish(msg("a", "3", 1))
		if d := time.Since(begin); d != 7*time.Second {
			t.Errorf("above the limit: %v", d)
		}
		// As soon as there is room it goes on.
		p := msg("a", "4", 1)
		p.PacketID = pub.id()
		pub.send(p)
		pub.quiet()
		for i := range 3 {
			sub.receive("a", fmt.Sprint(i))
		}
		pub.confirmed(p)
		if d := time.Since(begin); d != 7*time.Second {
			t.Errorf("with room again: %v", d)
		}
	}, with(func(s *Settings) { s.SendQuota, s.Queue.Messages, s.AckWait = 1, 2, 7*time.Second }))
}

// TestAttack51_Administration: kicking and clearing while the client comes, subscribes and goes leaves one owner of each
// session and nothing behind.
func TestAttack51_Administration(t *testing.T) {
	bubble(t, func(r *rig) {
		var clients, admin sync.WaitGroup
		over := make(chan struct{})
		r.quarrel(&clients, 4, 50)
		for range 2 {
			admin.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
					}
					_, _ = r.b.Clear("c")
					_, _ = r.b.Kick("c")
					r.b.Sessions("", "", 10)
					time.Sleep(time.Microsecond) // of the bubble: after everybody else
				}
			})
		}
		clients.Wait()
		close(over)
		admin.Wait()
		r.settle()
		if _, err := r.b.Clear("c"); err != nil && err != ErrNoSession { //nolint:errorlint // the exact value is documented
			t.Error(err)
		}
		r.wait(2 * time.Second) // connections that linger
		n := r.b.Snapshot()
		if n.Sessions != 0 || n.Subscriptions != 0 || n.QueuedBytes != 0 || n.Clients != 0 || r.b.groups.len() != 0 || r.b.owners.len() != 0 {
			t.Errorf("left behind: %+v, %d groups, %d owners", n, r.b.groups.len(), r.b.owners.len())
		}
		if rows := r.rows(); rows != rows0 {
			t.Errorf("left on disk: %+v", rows)
		}
	})
}
