// SPDX-License-Identifier: GPL-2.0-or-later
//
// A small explicit-state explorer for locking and lifetime protocols.
//
// A model is a plain-data state `G` and a few threads. A thread is a list of
// atomic steps. The explorer visits every interleaving (sequentially
// consistent) breadth first, so the trace that it prints for a violation is a
// shortest one.
#ifndef VELLUM_TESTS_MODELS_EXPLORER_H_
#define VELLUM_TESTS_MODELS_EXPLORER_H_

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <ostream>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace model {

// What a step asks of the explorer.
struct Outcome {
  enum class Kind { kNext, kBlock, kJump } kind = Kind::kNext;
  std::string label;  // target of kJump
};

inline Outcome Next() { return {}; }
inline Outcome Block() { return {Outcome::Kind::kBlock, {}}; }
inline Outcome Jump(std::string label) { return {Outcome::Kind::kJump, std::move(label)}; }

// One thread's program. `G` must be trivially copyable and without padding,
// because states are compared and hashed by their bytes.
template <typename G>
class Program {
 public:
  using Step = std::function<Outcome(G&, int tid)>;

  explicit Program(std::string name) : name_(std::move(name)) {}

  // A step that may block or jump.
  Program& Do(std::string what, Step step) {
    steps_.push_back({std::move(what), std::move(step)});
    return *this;
  }
  // A step that always goes on.
  Program& Set(std::string what, std::function<void(G&)> effect) {
    return Do(std::move(what), [effect = std::move(effect)](G& g, int) {
      effect(g);
      return Next();
    });
  }
  Program& Label(std::string label) {
    labels_[std::move(label)] = steps_.size();
    return *this;
  }
  Program& Append(const std::function<void(Program&)>& part) {
    part(*this);
    return *this;
  }

  size_t size() const { return steps_.size(); }
  const std::string& name() const { return name_; }
  const std::string& what(size_t pc) const { return steps_[pc].what; }
  Outcome Run(size_t pc, G& g, int tid) const { return steps_[pc].run(g, tid); }
  // The end of the program is an implicit label "end".
  size_t Target(const std::string& label) const {
    return label == "end" ? steps_.size() : labels_.at(label);
  }

 private:
  struct Entry {
    std::string what;
    Step run;
  };
  std::string name_;
  std::vector<Entry> steps_;
  std::map<std::string, size_t> labels_;
};

struct Verdict {
  size_t states = 0;
  size_t terminal = 0;
  bool complete = true;                           // every reachable state was visited
  std::map<std::string, std::string> violations;  // kind -> shortest trace

  bool Clean() const { return complete && violations.empty(); }
  bool Has(const std::string& kind) const { return violations.contains(kind); }
};

inline std::ostream& operator<<(std::ostream& os, const Verdict& v) {
  os << v.states << " states, " << v.terminal << " terminal" << (v.complete ? "" : ", INCOMPLETE");
  for (const auto& [kind, trace] : v.violations) os << "\n  " << kind << ": " << trace;
  return os;
}

// Visit all interleavings of `threads` from `start`. `violation(g)` names what
// is broken in a state (nullptr when nothing is); `at_end(g)` judges states in
// which all threads are done. A state in which nobody can move before the end
// is DEADLOCK.
template <typename G>
Verdict Explore(const G& start, const std::vector<Program<G>>& threads,
                const std::function<const char*(const G&)>& violation,
                const std::function<const char*(const G&)>& at_end, size_t limit = 4'000'000) {
  static_assert(std::is_trivially_copyable_v<G>);
  static_assert(std::has_unique_object_representations_v<G>, "padding would split equal states");

  struct Node {
    G g;
    std::vector<uint16_t> pc;
  };
  auto key = [](const Node& n) {
    std::string k(sizeof(G) + n.pc.size() * sizeof(uint16_t), '\0');
    std::memcpy(k.data(), &n.g, sizeof(G));
    std::memcpy(k.data() + sizeof(G), n.pc.data(), n.pc.size() * sizeof(uint16_t));
    return k;
  };
  struct Origin {
    size_t parent;
    size_t thread;
    size_t pc;
  };

  Verdict verdict;
  std::vector<Origin> origins;
  std::unordered_map<std::string, size_t> seen;
  std::deque<std::pair<Node, size_t>> queue;

  auto trace = [&](size_t id) {
    std::string out;
    while (id != 0) {
      const Origin& o = origins[id];
      out = threads[o.thread].name() + "." + threads[o.thread].what(o.pc) +
            (out.empty() ? "" : " ") + out;
      id = o.parent;
    }
    return out;
  };
  auto blame = [&](const char* kind, size_t id) {
    if (kind != nullptr && !verdict.violations.contains(kind)) verdict.violations[kind] = trace(id);
    return kind != nullptr;
  };

  Node first{start, std::vector<uint16_t>(threads.size(), 0)};
  seen.emplace(key(first), 0);
  origins.push_back({0, 0, 0});
  queue.emplace_back(std::move(first), 0);
  while (!queue.empty()) {
    auto [node, id] = std::move(queue.front());
    queue.pop_front();
    if (blame(violation(node.g), id)) continue;
    bool moved = false;
    bool done = true;
    for (size_t t = 0; t < threads.size(); ++t) {
      const size_t pc = node.pc[t];
      if (pc >= threads[t].size()) continue;
      done = false;
      Node succ = node;
      const Outcome outcome = threads[t].Run(pc, succ.g, static_cast<int>(t));
      if (outcome.kind == Outcome::Kind::kBlock) continue;
      succ.pc[t] = static_cast<uint16_t>(
          outcome.kind == Outcome::Kind::kJump ? threads[t].Target(outcome.label) : pc + 1);
      moved = true;
      auto [it, fresh] = seen.emplace(key(succ), origins.size());
      if (!fresh) continue;
      origins.push_back({id, t, pc});
      if (origins.size() > limit) {
        verdict.complete = false;
        verdict.states = origins.size();
        return verdict;
      }
      queue.emplace_back(std::move(succ), it->second);
    }
    if (done) {
      ++verdict.terminal;
      blame(at_end(node.g), id);
    } else if (!moved) {
      blame("DEADLOCK", id);
    }
  }
  verdict.states = origins.size();
  return verdict;
}

// Prints one row of the table of models: protocol, states, verdict. The protocol is the test's
// name; `threads` tells apart several runs of one test.
inline Verdict Report(Verdict verdict, const std::string& threads = "") {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  std::string kinds;
  for (const auto& [kind, trace] : verdict.violations) kinds += (kinds.empty() ? "" : " ") + kind;
  if (kinds.empty()) kinds = verdict.complete ? "clean" : "incomplete";
  std::cout << "MODEL " << test->test_suite_name() << "." << test->name()
            << (threads.empty() ? "" : " (" + threads + ")") << " | " << verdict.states
            << " states | " << kinds << "\n";
  return verdict;
}

// A reader-writer lock that fits in a state: bit i of `readers` is thread i.
struct RwLock {
  uint8_t readers = 0;
  int8_t writer = -1;
};
inline Outcome ReadLock(RwLock& lock, int tid) {
  if (lock.writer != -1) return Block();
  lock.readers = static_cast<uint8_t>(lock.readers | (1u << tid));
  return Next();
}
inline Outcome WriteLock(RwLock& lock, int tid) {
  if (lock.writer != -1 || lock.readers != 0) return Block();
  lock.writer = static_cast<int8_t>(tid);
  return Next();
}
inline Outcome Unlock(RwLock& lock, int tid) {
  if (lock.writer == tid) {
    lock.writer = -1;
  } else {
    lock.readers = static_cast<uint8_t>(lock.readers & ~(1u << tid));
  }
  return Next();
}

}  // namespace model

#endif  // VELLUM_TESTS_MODELS_EXPLORER_H_
