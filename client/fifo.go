package client

// fifo is a growing ring of values. Its zero value is empty. It keeps its memory, so a queue in steady state does not
// allocate.
type fifo[T any] struct {
	ring []T
	head int
	n    int
}

func (q *fifo[T]) len() int { return q.n }

func (q *fifo[T]) push(v T) {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = v
	q.n++
}

// pop takes the oldest value; the queue must not be empty.
func (q *fifo[T]) pop() T {
	var zero T
	v := q.ring[q.head]
	q.ring[q.head] = zero
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return v
}

// at returns the address of the i-th oldest value, valid until the next push.
func (q *fifo[T]) at(i int) *T { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

func (q *fifo[T]) clear() {
	clear(q.ring)
	q.head, q.n = 0, 0
}

func (q *fifo[T]) grow() {
	bigger := make([]T, max(16, 2*len(q.ring))) // a power of two, so that indexes wrap with a mask
	for i := range q.n {
		bigger[i] = *q.at(i)
	}
	q.ring, q.head = bigger, 0
}
