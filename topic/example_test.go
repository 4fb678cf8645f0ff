package topic_test

import (
	"fmt"

	"github.com/sealmq/sealmq/topic"
)

func Example() {
	share, filter, err := topic.ParseSubscription("$share/workers/jobs/+/new")
	if err != nil {
		fmt.Println(err)
		return
	}
	name, err := topic.ParseName("jobs/print/new")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(share, filter, filter.Matches(name))

	_, err = topic.ParseFilter("jobs/#/new")
	fmt.Println(err)
	// Output:
	// workers jobs/+/new true
	// invalid topic filter: characters after '#' at byte 6
}
