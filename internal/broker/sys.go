package broker

import (
	"fmt"
	"math"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/sealmq/sealmq/mqtt"
)

// runSys publishes the broker's state under Mosquitto's topic names, as retained messages of the broker itself. They
// are not stored: after a restart they are made anew.
func (b *Broker) runSys() {
	interval := b.settings().SysInterval
	if interval <= 0 {
		return
	}
	var loads sysLoads
	tick := time.NewTicker(interval)
	defer tick.Stop()
	b.publishSys(&loads, 0)
	for {
		select {
		case <-tick.C:
			b.publishSys(&loads, interval)
		case <-b.ctx.Done():
			return
		}
	}
}

// sysLoad is a rate per minute, averaged as Unix load averages are, over 1, 5 and 15 minutes.
type sysLoad struct {
	last int64
	avg  [3]float64
}

type sysLoads map[string]*sysLoad

var loadSpans = [3]struct {
	name    string
	minutes float64
}{{"1min", 1}, {"5min", 5}, {"15min", 15}}

// update takes the counter's new value.
func (l *sysLoad) update(value int64, elapsed time.Duration) {
	perMinute := float64(value-l.last) / elapsed.Minutes()
	l.last = value
	for i := range loadSpans {
		keep := math.Exp(-elapsed.Minutes() / loadSpans[i].minutes)
		l.avg[i] = perMinute + keep*(l.avg[i]-perMinute)
	}
}

func (b *Broker) publishSys(loads *sysLoads, elapsed time.Duration) {
	s := b.Snapshot()
	total := int64(s.Sessions)
	online := int64(s.Clients)
	b.stats.maxClients.Store(max(b.stats.maxClients.Load(), online))
	received := s.PublishReceived[0] + s.PublishReceived[1] + s.PublishReceived[2]
	sent := s.PublishSent[0] + s.PublishSent[1] + s.PublishSent[2]
	w := b.getWork()
	defer w.release()
	put := func(name string, value any) { b.sysMessage(w, "$SYS/broker/"+name, fmt.Sprint(value)) }
	put("version", "sealmq "+b.version)
	put("uptime", strconv.FormatInt(int64(b.clock.Now().Sub(b.started).Seconds()), 10)+" seconds")
	put("clients/total", total)
	put("clients/connected", online)
	put("clients/active", online)
	put("clients/disconnected", max(total-online, 0))
	put("clients/inactive", max(total-online, 0))
	put("clients/maximum", b.stats.maxClients.Load())
	put("clients/expired", s.Expired)
	put("subscriptions/count", s.Subscriptions)
	put("shared_subscriptions/count", b.groups.len())
	put("retained messages/count", s.Retained)
	put("messages/received", s.PacketsReceived)
	put("messages/stored", s.Retained)
	put("store/messages/count", s.Retained)
	put("store/messages/bytes", s.RetainedBytes+s.QueuedBytes)
	put("bytes/received", s.BytesReceived)
	put("bytes/sent", s.BytesSent)
	put("publish/messages/received", received)
	put("publish/messages/sent", sent)
	put("publish/messages/dropped", s.Dropped+s.QueueFull)
	put("publish/bytes/received", b.stats.payloadReceived.Load())
	put("publish/bytes/sent", b.stats.payloadSent.Load())
	put("heap/current", heapBytes())
	put("sealmq/denied", s.Denied)
	put("sealmq/logins_refused", s.LoginsRefused)
	put("sealmq/queue/bytes", s.QueuedBytes)
	put("sealmq/queue/full", s.QueueFull)
	if elapsed == 0 {
		*loads = sysLoads{}
	}
	for name, value := range map[string]int64{
		"connections": s.Connections, "sockets": s.Connections, "messages/received": s.PacketsReceived,
		"bytes/received": s.BytesReceived, "bytes/sent": s.BytesSent, "publish/received": received,
		"publish/sent": sent, "publish/dropped": s.Dropped,
	} {
		l := (*loads)[name]
		if l == nil {
			l = &sysLoad{last: value}
			(*loads)[name] = l
		}
		if elapsed > 0 {
			l.update(value, elapsed)
		}
		for i := range loadSpans {
			put("load/"+name+"/"+loadSpans[i].name, strconv.FormatFloat(l.avg[i], 'f', 2, 64))
		}
	}
}

// SysValue is a number under a topic of $SYS.
type SysValue struct {
	Topic string
	Value float64
}

// Sys returns the numbers that were published last under $SYS/broker, in the order of their topics.
func (b *Broker) Sys() []SysValue {
	var out []SysValue
	after := ""
	for more := true; more; more = after != "" {
		var page []RetainedInfo
		page, after = b.RetainedMessages("$SYS/broker/#", after, sysPage, sysPreview)
		for i := range page {
			if v, err := strconv.ParseFloat(strings.TrimSuffix(string(page[i].Preview), " seconds"), 64); err == nil && page[i].PayloadBytes <= sysPreview {
				out = append(out, SysValue{page[i].Topic, v})
			}
		}
	}
	return out
}

const (
	sysPage    = 1000
	sysPreview = 32 // bytes; the longest number is shorter
)

// sysMessage retains and routes one value, unless it is unchanged.
func (b *Broker) sysMessage(w *work, name, value string) {
	if old := b.retained.Get(name); old != nil && string(old.Payload()) == value {
		return
	}
	p := mqtt.Publish{Topic: name, Payload: []byte(value), Retain: true}
	d := delivery{b: b, w: w, p: &p}
	b.retained.Put(d.message())
	res := b.router.MatchIn(&w.room, name)
	allowed := b.receivers(res, name)
	w.prepare(&p)
	for i := range res.Targets {
		if allowed == nil || allowed[i] {
			d.target(&res.Targets[i])
		}
	}
	d.finish()
}

func (g *groups) len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.byKey)
}

func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}
