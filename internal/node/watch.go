package node

import (
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/sealmq/sealmq/internal/config"
)

// WatchInterval is how often the files that a reload reads are looked at, so that two looks and the reload fit into a
// second. They are few, and looking at them, unlike being told of changes, also sees files that are renamed into place,
// mounted, or reached through a link that is switched.
const WatchInterval = 400 * time.Millisecond

// settled is how old a change must be before it is believed to be whole, unless the next look sees the same.
const settled = WatchInterval

// A watch remembers what the files looked like when they were last read. It belongs to one goroutine.
type watch struct {
	read  map[string]look // when the files were read
	last  map[string]look // at the last poll
	tried map[string]look // when reading them failed
}

// look is what can be seen of a file without reading it.
type look struct {
	there   bool
	size    int64
	changed time.Time
	mode    fs.FileMode
	info    fs.FileInfo // tells a file from another one of the same name
}

func lookAt(path string) look {
	info, err := os.Stat(path)
	if err != nil {
		return look{}
	}
	return look{there: true, size: info.Size(), changed: info.ModTime(), mode: info.Mode(), info: info}
}

// same reports that nothing happened between two looks.
func (l look) same(o look) bool {
	if l.there != o.there || !l.there {
		return l.there == o.there
	}
	return l.size == o.size && l.changed.Equal(o.changed) && l.mode == o.mode && os.SameFile(l.info, o.info)
}

func lookAll(files []string) map[string]look {
	all := make(map[string]look, len(files))
	for _, f := range files {
		all[f] = lookAt(f)
	}
	return all
}

// begin remembers the files as they are before somebody reads them: what changes meanwhile is seen by the next poll.
func (w *watch) begin(files []string) { *w = watch{read: lookAll(files)} }

// changed lists the files that are no longer what was read, once they have settled. What was tried in vain is not listed
// again until it changes.
func (w *watch) changed(now time.Time) []string {
	var list []string
	next := make(map[string]look, len(w.read))
	for path, was := range w.read {
		is := lookAt(path)
		next[path] = is
		if is.same(was) {
			continue
		}
		last, polled := w.last[path]
		if tried, failed := w.tried[path]; failed && is.same(tried) {
			continue
		}
		if polled && is.same(last) || is.there && now.Sub(is.changed) > settled {
			list = append(list, path)
		}
	}
	w.last = next
	slices.Sort(list)
	return list
}

// failed remembers that the present state cannot be taken over. Two files that belong together are tried again when the
// second of them comes.
func (w *watch) failed(present map[string]look) { w.tried = present }

// Poll looks at the files of the configuration and takes changed ones over, all of them or nothing; see Reload. A state
// that cannot be taken over is logged once, and the one in force stays. It is called by the goroutine that calls Reload.
func (n *Node) Poll(plan *config.Plan, now time.Time) {
	changed := n.watch.changed(now)
	if len(changed) == 0 {
		return
	}
	present := lookAll(plan.Config.Files())
	if err := n.Reload(plan); err != nil {
		n.watch.failed(present)
		n.log.Error("changed files cannot be used, nothing was taken over", "files", changed, "err", err)
		return
	}
	n.log.Info("changed files taken over", "files", changed)
}
