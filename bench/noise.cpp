// What a neighbour feels of a box, and of a customer, that takes all it can get. Bob runs /bin/true in his box, in
// quiet and beside Alice's noise in turn, so that both have the same host.

#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "base/priority.h"
#include "base/undo.h"
#include "bench/api.h"
#include "bench/samples.h"

namespace hutch::bench {
namespace {

constexpr int kRounds = 5;
constexpr int kCalls = 100;  // of bob's, each round, in quiet and in noise

/// What a box of Alice's is told to do.
struct Noise {
    const char* name;
    const char* script;
    const char*
        ready;  ///< what it says once it is at work; null: it says all that it can, to nobody, and leaves a file
};

constexpr Noise kNoises[] = {
    {"busy loops", "echo ready; for i in 1 2 3 4; do while :; do :; done & done; wait", "ready"},
    {"fork bomb", "exec 2>/dev/null; echo ready; b() { b | b & }; b; while :; do wait; b; done", "ready"},
    {"memory bomb", "echo ready; while :; do tail /dev/zero; done 2>/dev/null", "ready"},
    {"output floods", "for i in $(seq 120); do cat /dev/zero & done; touch /tmp/ready; wait", nullptr},
    {"inotify watches", "sleep 100000 | probe take inotify-watch", "took"},
    {"terminals", "sleep 100000 | probe take terminal", "took"},
    {"datagrams",
     "echo ready; while :; do for i in $(seq 50); do echo x | nc -u -w 1 192.0.2.1 $((RANDOM + 1024)) & done; wait; "
     "done",
     "ready"},
};
constexpr int kRequests = std::size(kNoises);  // the largest legal ones, without pause
constexpr int kAll = kRequests + 1;            // everything above in one box, and the requests beside it

std::string shell(const std::string& script) {
    return R"({"command":["/bin/sh","-c",")" + script + "\"]}";
}

/// A customer of the daemon's.
class Customer {
  public:
    explicit Customer(const std::string& name) : name_(name) {
        key_ = field(Api(daemon().socket()).call("POST", "/v2/keys", R"({"name":")" + name + "\"}", 201), "key");
    }
    ~Customer() { Api(daemon().socket()).call("DELETE", "/v2/keys/" + name_, "", 200); }
    Customer(const Customer&) = delete;
    Customer& operator=(const Customer&) = delete;
    [[nodiscard]] Api connect() const { return {daemon().port(), key_}; }

  private:
    std::string name_;
    std::string key_;
};

/// Makes noise from its beginning to its end.
class Noisy {
  public:
    Noisy(const Customer& customer, int kind)
        : customer_(customer), path_("/v2/box/" + field(customer.connect().call("POST", "/v2/box", "{}", 201), "id")) {
        if (kind == kRequests || kind == kAll) ask_without_pause();
        for (int i = 0; i < kRequests; ++i) {
            if (i == kind || kind == kAll) start(kNoises[i]);
        }
    }
    ~Noisy() {
        stop_ = true;
        for (std::thread& asker : askers_) asker.join();
        customer_.connect().call("DELETE", path_, "", 200);
        daemon().settle();
    }
    Noisy(const Noisy&) = delete;
    Noisy& operator=(const Noisy&) = delete;

  private:
    void start(const Noise& noise) {
        if (noise.ready == nullptr) {
            const std::string body = R"({"detach":true,)" + shell(noise.script).substr(1);
            customer_.connect().call("POST", path_ + "/exec-stream", body, 202);
            customer_.connect().call("POST", path_ + "/exec", shell("until [ -e /tmp/ready ]; do sleep 0.01; done"),
                                     200);
            return;
        }
        listening_.push_back(customer_.connect());
        listening_.back().open("POST", path_ + "/exec-stream", shell(noise.script));
        listening_.back().await(noise.ready);
    }

    // What the daemon escapes to six times its size, and what it unpacks of base64.
    void ask_without_pause() {
        customer_.connect().call("POST", path_ + "/exec",
                                 shell("head -c 60000000 /dev/zero | tr '\\\\000' '\\\\001' >large"), 200);
        const std::string large =
            R"({"path":"written","encoding":"base64","content":")" + std::string(40'000'000, 'A') + "\"}";
        for (int i = 0; i < 4; ++i) {
            askers_.emplace_back([this, large, i] {
                set_priority({19, 0});  // a customer computes on a machine of its own
                while (!stop_) {
                    if (i % 2 == 0)
                        customer_.connect().ask_last("GET", path_ + "/files/read?path=large", "");
                    else
                        customer_.connect().ask_last("POST", path_ + "/files/write", large);
                }
            });
        }
    }

    const Customer& customer_;
    std::string path_;
    std::vector<Api> listening_;
    std::vector<std::thread> askers_;
    std::atomic<bool> stop_ = false;
};

void noisy_neighbour(benchmark::State& state) {
    const auto kind = static_cast<int>(state.range(0));
    state.SetLabel(kind < kRequests ? kNoises[kind].name : kind == kRequests ? "largest requests" : "all of them");
    const Customer alice("alice");
    const Customer bob("bob");
    Api api = bob.connect();
    const std::string box = "/v2/box/" + field(api.call("POST", "/v2/box", "{}", 201), "id");
    // Bob's client is on a machine of its own, too: what it waits for are the daemon and its box.
    set_priority(kShortWork);
    const Undo usual([] { set_priority(kUsualPriority); });
    Samples quiet;
    Samples noisy;
    double failed = 0;
    const auto call = [&] {
        if (api.ask("POST", box + "/exec", R"({"command":["/bin/true"]})").first != 200) ++failed;
    };
    for (auto unused : state) {
        for (int i = 0; i < kCalls; ++i) quiet.measure(call);
        const Noisy noise(alice, kind);
        for (int i = 0; i < kCalls; ++i) noisy.measure(call);
    }
    quiet.report(state, "quiet_");
    noisy.report(state);
    state.counters["failed"] = failed;
    api.call("DELETE", box, "", 200);
}

}  // namespace

BENCHMARK(noisy_neighbour)->Unit(benchmark::kMillisecond)->Iterations(kRounds)->DenseRange(0, kAll);

}  // namespace hutch::bench
