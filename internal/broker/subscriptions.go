package broker

import "github.com/sealmq/sealmq/internal/store"

// fewSubscriptions is how many a session keeps in a list before it needs a map, which takes ten times the memory of
// one subscription.
const fewSubscriptions = 8

// subscriptions are those of one session, by filter.
type subscriptions struct {
	few  []store.Subscription
	many map[string]store.Subscription // holds all once there were more than a few; nil before
}

func (s *subscriptions) len() int {
	if s.many != nil {
		return len(s.many)
	}
	return len(s.few)
}

func (s *subscriptions) has(filter string) bool {
	if s.many != nil {
		_, ok := s.many[filter]
		return ok
	}
	return s.index(filter) >= 0
}

func (s *subscriptions) index(filter string) int {
	for i := range s.few {
		if s.few[i].Filter == filter {
			return i
		}
	}
	return -1
}

// put adds a subscription, or replaces the one to the same filter.
func (s *subscriptions) put(sub *store.Subscription) {
	if s.many != nil {
		s.many[sub.Filter] = *sub
		return
	}
	if i := s.index(sub.Filter); i >= 0 {
		s.few[i] = *sub
		return
	}
	if len(s.few) < fewSubscriptions {
		grown := make([]store.Subscription, len(s.few)+1)
		grown[copy(grown, s.few)] = *sub
		s.few = grown
		return
	}
	s.many = make(map[string]store.Subscription, 2*fewSubscriptions)
	for i := range s.few {
		s.many[s.few[i].Filter] = s.few[i]
	}
	s.many[sub.Filter], s.few = *sub, nil
}

func (s *subscriptions) remove(filter string) {
	if s.many != nil {
		delete(s.many, filter)
		return
	}
	if i := s.index(filter); i >= 0 {
		rest := make([]store.Subscription, 0, len(s.few)-1)
		s.few = append(append(rest, s.few[:i]...), s.few[i+1:]...)
	}
}

// adopt takes over subscriptions to different filters; there must be none yet.
func (s *subscriptions) adopt(list []store.Subscription) {
	if len(list) <= fewSubscriptions {
		s.few = list
		return
	}
	for i := range list {
		s.put(&list[i])
	}
}

// all returns a copy of every subscription, in no order.
func (s *subscriptions) all() []store.Subscription {
	list := make([]store.Subscription, 0, s.len())
	list = append(list, s.few...)
	for _, sub := range s.many {
		list = append(list, sub)
	}
	return list
}
