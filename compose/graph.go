package compose

import (
	"fmt"
	"slices"
	"strings"
)

// graph connects the calls, refuses cycles, and orders what is ready first.
func (c *compiler) graph() bool {
	calls := c.plan.calls
	for _, k := range calls {
		path := c.callPath(k.name)
		for _, i := range k.after {
			if i != k.index && slices.Contains(k.needs, i) {
				c.warning(path+".after", "leave it out", "it waits for "+calls[i].name+" in any case, because it refers to its result")
			}
		}
		k.waits = len(k.waitsFor())
	}
	if c.cycles() {
		return false
	}
	for _, k := range calls {
		for _, i := range k.waitsFor() {
			calls[i].next = append(calls[i].next, k.index)
		}
	}
	for _, k := range calls {
		k.tail = c.tail(k)
	}
	longer := func(a, b int) int { return calls[b].tail - calls[a].tail }
	for _, k := range calls {
		slices.SortStableFunc(k.next, longer)
		if k.waits == 0 {
			c.plan.start = append(c.plan.start, k.index)
		}
		c.undoes(k)
	}
	slices.SortStableFunc(c.plan.start, longer)
	return !c.failed
}

// waitsFor are the calls that must have ended before k begins.
func (k *call) waitsFor() []int {
	list := slices.Clone(k.needs)
	for _, i := range k.after {
		if !slices.Contains(list, i) {
			list = append(list, i)
		}
	}
	return list
}

// tail is the length of the longest chain of calls that wait for k.
func (c *compiler) tail(k *call) int {
	longest := 0
	for _, i := range k.next {
		longest = max(longest, 1+c.tail(c.plan.calls[i]))
	}
	return longest
}

// cycles reports every cycle by name, each once.
func (c *compiler) cycles() (found bool) {
	const (
		unseen = iota
		open
		closed
	)
	state := make([]int, len(c.plan.calls))
	var trail []int
	var visit func(i int)
	visit = func(i int) {
		state[i] = open
		trail = append(trail, i)
		for _, j := range c.plan.calls[i].waitsFor() {
			switch state[j] {
			case unseen:
				visit(j)
			case open:
				found = true
				c.cycle(append(slices.Clone(trail[slices.Index(trail, j):]), j))
			}
		}
		trail = trail[:len(trail)-1]
		state[i] = closed
	}
	for i := range c.plan.calls {
		if state[i] == unseen {
			visit(i)
		}
	}
	return found
}

func (c *compiler) cycle(trail []int) {
	first := c.plan.calls[trail[0]]
	if len(trail) == 2 {
		c.problem(c.callPath(first.name), "", 0, "", "the call refers to its own result")
		return
	}
	var names []string
	for _, i := range trail {
		names = append(names, c.plan.calls[i].name)
	}
	c.problem(c.callPath(first.name), "", 0, "one of them must do without the other's result",
		"the calls wait for each other: "+strings.Join(names, " → "))
}

// undoes checks that the call which undoes k finds what it refers to.
func (c *compiler) undoes(k *call) {
	if k.undo == nil {
		return
	}
	there := map[int]bool{k.index: true}
	var add func(i int)
	add = func(i int) {
		there[i] = true
		for _, j := range c.plan.calls[i].waitsFor() {
			add(j)
		}
	}
	add(k.index)
	for _, i := range k.undo.vars {
		if !there[i] {
			c.problem(c.callPath(k.name)+".compensate", "", 0, fmt.Sprintf("it may use %s and what that waits for", k.name),
				fmt.Sprintf("the result of %s may not be there when %s is undone", c.plan.calls[i].name, k.name))
		}
	}
}

// twins finds calls that may turn out to be identical.
func (c *compiler) twins() {
	type key struct {
		service, method, as, spans string
		size, depth, timeout       int64
		how                        string
	}
	classes := map[key][]*call{}
	for _, k := range c.plan.calls {
		if k.each != nil || k.ask.method != "GET" && k.ask.method != "HEAD" || k.ask.body != nil || len(k.conf.Policies) > 0 {
			continue
		}
		id := key{k.ask.service, k.ask.method, k.conf.As, fmt.Sprint(k.conf.Accept, k.conf.Absent, k.conf.Pass),
			int64(k.conf.MaxSize), int64(k.conf.MaxDepth), int64(k.ask.timeout), k.conf.Duplicates + k.conf.UTF8}
		classes[id] = append(classes[id], k)
	}
	for _, list := range classes {
		for _, k := range list {
			k.twin = len(list) > 1
			k.class = list[0].index
		}
	}
}

// warn says what is allowed and probably not meant.
func (c *compiler) warn() {
	if c.failed {
		return // what uses what is not known
	}
	used := map[int]bool{}
	for _, i := range c.plan.answer.uses {
		used[i] = true
	}
	for _, k := range c.plan.calls {
		for _, i := range k.waitsFor() {
			used[i] = true
		}
	}
	for _, k := range c.plan.calls {
		if !used[k.index] && k.ask.safe() {
			c.warning(c.callPath(k.name), "use it in respond, or leave it out", "nobody uses the result of this call, and it is made all the same")
		}
		if !k.required {
			continue
		}
		for _, i := range k.needs {
			if o := c.plan.calls[i]; !o.required && !o.conf.HasDefault && k.when == nil {
				c.warning(c.callPath(k.name), fmt.Sprintf("make it optional too, or give %s a default", o.name),
					fmt.Sprintf("the answer needs this call, which needs the result of %s, which is optional", o.name))
			}
		}
	}
}
