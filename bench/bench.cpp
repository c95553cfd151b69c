// What a box costs, each beside its floor in the same run. Every benchmark reports p50 and p99 of single operations in
// microseconds; scripts/bench turns them into the table, the plot and the verdict on the budgets of SPECIFICATION.md.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/syscalls.h"
#include "bench/api.h"
#include "bench/floor.h"
#include "bench/samples.h"

namespace hutch::bench {
namespace {

using Clock = Samples::Clock;

// Times of the steps of an operation, as its answer's details tell them.
class Steps {
  public:
    explicit Steps(std::vector<std::string> names) : names_(std::move(names)) {}
    void add(const std::string& answer) {
        for (const std::string& name : names_) times_[name].add(std::stod(field(answer, name)) / 1000);
    }
    void report(benchmark::State& state, const std::string& prefix) {
        for (const std::string& name : names_) state.counters[prefix + name + "_us"] = times_[name].at(0.5);
    }

  private:
    std::vector<std::string> names_;
    std::map<std::string, Samples> times_;
};

void floor_container(benchmark::State& state) {
    const std::string scratch = daemon().rootfs() + "-floor";
    mkdir(scratch.c_str(), 0755);
    Samples samples;
    for (auto unused : state) samples.time(state, [&] { make_bare_container(daemon().rootfs(), scratch); });
    samples.report(state);
    (void)remove_tree_at(AT_FDCWD, scratch);
}

void floor_spawn(benchmark::State& state) {
    const std::string program = daemon().rootfs() + "/bin/true";
    Samples samples;
    for (auto unused : state) samples.time(state, [&] { spawn_and_read(program); });
    samples.report(state);
}

// Create and delete in turn, so that the host holds a steady number of boxes.
void create(benchmark::State& state) {
    Api api(daemon().socket());
    Samples samples;
    Samples deletes;
    Steps create_steps({"record", "upper", "user_namespace", "slot", "mount", "group", "spawn", "ready"});
    Steps delete_steps({"record", "kill", "files"});
    for (auto unused : state) {
        std::string box;
        samples.time(state, [&] { box = api.call("POST", "/v2/box?details=1", "{}", 201); });
        create_steps.add(box);
        const std::string path = "/v2/box/" + field(box, "id") + "?details=1";
        const auto begin = Clock::now();
        const std::string deleted = api.call("DELETE", path, "", 200);
        deletes.add(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
        delete_steps.add(deleted);
    }
    samples.report(state);
    state.counters["delete_p50_us"] = deletes.at(0.5);
    state.counters["delete_p99_us"] = deletes.at(0.99);
    create_steps.report(state, "stage_");
    delete_steps.report(state, "delete_stage_");
}

void exec(benchmark::State& state) {
    Api api(daemon().socket());
    const std::string id = field(api.call("POST", "/v2/box", "{}", 201), "id");
    const std::string path = "/v2/box/" + id + "/exec?details=1";
    Samples samples;
    Steps steps({"leaf", "record", "started", "exited", "finish"});
    for (auto unused : state) {
        std::string outcome;
        samples.time(state, [&] { outcome = api.call("POST", path, R"({"command":["/bin/true"]})", 200); });
        steps.add(outcome);
    }
    samples.report(state);
    steps.report(state, "stage_");
    api.call("DELETE", "/v2/box/" + id, "", 200);
}

// Over the Unix socket and over TCP in turn, so that both have the same host.
void exec_tcp(benchmark::State& state) {
    Api local(daemon().socket());
    Api tcp(daemon().port(), daemon().key());
    const std::string box = "/v2/box/" + field(local.call("POST", "/v2/box", "{}", 201), "id");
    const auto run = [&](Api& api) { api.call("POST", box + "/exec", R"({"command":["/bin/true"]})", 200); };
    Samples samples;
    Samples over_socket;
    for (auto unused : state) {
        const auto begin = Clock::now();
        run(local);
        over_socket.add(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
        samples.time(state, [&] { run(tcp); });
    }
    samples.report(state);
    state.counters["socket_p50_us"] = over_socket.at(0.5);
    local.call("DELETE", box, "", 200);
}

constexpr const char* kAgent = R"({"agent":"custom","model":"m","custom_runner":{"command":"/bin/sh","args":["-c",)"
                               R"("exec 3<>fifo; while read -r line <&3; do echo event: text; )"
                               R"(echo 'data: {\"text\":\"x\"}'; echo; done","agent"]}})";

// With and without an agent, each first in turn: the second finds the pool of network slots being filled again.
void create_agent(benchmark::State& state) {
    Api api(daemon().socket());
    Samples samples;
    Samples plain;
    std::vector<std::string> boxes;
    const auto make = [&](const char* body) { boxes.push_back(field(api.call("POST", "/v2/box", body, 201), "id")); };
    const auto make_plain = [&] {
        const auto begin = Clock::now();
        make("{}");
        plain.add(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    };
    bool plain_first = false;
    for (auto unused : state) {
        plain_first = !plain_first;
        if (plain_first) make_plain();
        samples.time(state, [&] { make(kAgent); });
        if (!plain_first) make_plain();
        for (const std::string& id : boxes) api.call("DELETE", "/v2/box/" + id, "", 200);
        boxes.clear();
    }
    samples.report(state);
    state.counters["plain_p50_us"] = plain.at(0.5);
}

// From the moment a harness is told to say something, so its own time to say it is in it, to its event at the client.
void agent_event(benchmark::State& state) {
    Api api(daemon().socket());
    const std::string box = "/v2/box/" + field(api.call("POST", "/v2/box?details=1", kAgent, 201), "id");
    api.call("POST", box + "/exec", R"({"command":["mkfifo","fifo"]})", 200);
    const std::string init = field(api.call("GET", box + "?details=1", "", 200), "init_pid");
    const std::string fifo = "/proc/" + init + "/root/workspace/home/fifo";
    const UniqueFd tell(open(fifo.c_str(), O_RDWR | O_CLOEXEC));
    Api stream(daemon().socket());
    stream.open("POST", box + "/run/stream", R"({"prompt":"x"})");
    Samples samples;
    for (auto unused : state) {
        samples.time(state, [&] {
            if (!write_all(tell.get(), "\n").ok()) abort();
            stream.await("event: text");
        });
    }
    samples.report(state);
    api.call("DELETE", box, "", 200);
}

void floor_pause(benchmark::State& state) {
    FrozenGroup group;
    Samples samples;
    for (auto unused : state) samples.time(state, [&] { group.freeze_and_thaw(); });
    samples.report(state);
}

void pause(benchmark::State& state) {
    Api api(daemon().socket());
    const std::string box = "/v2/box/" + field(api.call("POST", "/v2/box", "{}", 201), "id");
    Samples samples;
    for (auto unused : state) {
        samples.time(state, [&] {
            api.call("POST", box + "/pause", "", 200);
            api.call("POST", box + "/resume", "", 200);
        });
    }
    samples.report(state);
    api.call("DELETE", box, "", 200);
}

// Boxes with ever more files in them: those at rest are sealed, those in which something runs are copied.
class Filled {
  public:
    Filled(Api& api, int files, bool busy)
        : api_(api), path_("/v2/box/" + field(api.call("POST", "/v2/box", R"({"size":"large"})", 201), "id")) {
        const std::string count = std::to_string(files);
        run("seq " + count +
            R"( | while read -r i; do [ $((i % 500)) = 1 ] && mkdir -p d$i && d=d$i; echo $i > $d/$i; done)");
        if (busy) run("sleep 100000 > /dev/null 2>&1 &");
    }
    ~Filled() {
        api_.call("DELETE", path_, "", 200);
        api_.call("DELETE", "/v2/box/snapshots", "{}", 200);
    }
    Filled(const Filled&) = delete;
    Filled& operator=(const Filled&) = delete;
    void run(const std::string& script) const {
        api_.call("POST", path_ + "/exec", R"({"command":["/bin/sh","-c",")" + escaped(script) + "\"]}", 200);
    }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    static std::string escaped(const std::string& text) {
        std::string out;
        for (const char c : text) out += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
        return out;
    }
    Api& api_;
    std::string path_;
};

void snapshot(benchmark::State& state, bool busy, int dirty_mib = 0) {
    Samples samples;
    Samples synced;    // before: the time that what is dirty takes
    Samples constant;  // what does not depend on what was dirty
    Steps steps({"sync", "record", "end", "seal", "frozen", "copied"});
    for (auto unused : state) {
        daemon().settle();
        Api api(daemon().socket());  // not before: a connection without a request is closed after a minute
        const Filled box(api, static_cast<int>(state.range(0)), busy);
        if (dirty_mib != 0)
            box.run("dd if=/dev/zero of=dirty bs=1M count=" + std::to_string(dirty_mib) + " 2> /dev/null");
        const auto begin = Clock::now();
        if (!busy) box.run("sync");
        synced.add(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
        // The wait for the disk leaves a cold CPU, by which the larger box would be told from the smaller.
        for (int i = 0; i < 3; ++i) {
            const std::string other = field(api.call("POST", "/v2/box", "{}", 201), "id");
            api.call("DELETE", "/v2/box/" + other, "", 200);
        }
        std::string taken;
        samples.time(state,
                     [&] { taken = api.call("POST", box.path() + "/snapshots?details=1", R"({"name":"b"})", 201); });
        steps.add(taken);
        double sealing = 0;
        for (const char* step : {"record", "end", "seal"}) sealing += std::stod(field(taken, step)) / 1000;
        constant.add(sealing);
    }
    samples.report(state);
    state.counters["sealing_us"] = constant.at(0.5);
    state.counters["sync_us"] = synced.at(0.5);
    steps.report(state, "stage_");
}

void snapshot_rest(benchmark::State& state) {
    snapshot(state, false);
}

// What the kernel has not written behind yet is the sync's to wait for.
void snapshot_dirty(benchmark::State& state) {
    constexpr int kDirtyMib = 5 * 1024;
    snapshot(state, false, kDirtyMib);
}

void snapshot_work(benchmark::State& state) {
    snapshot(state, true);
}

// A box from a snapshot, beside plain creates in the same run.
void restore(benchmark::State& state) {
    Api api(daemon().socket());
    Filled box(api, 10'000, false);
    const std::string id = field(api.call("POST", box.path() + "/snapshots", R"({"name":"b"})", 201), "id");
    Samples samples;
    Samples plain;
    for (auto unused : state) {
        std::string made;
        samples.time(
            state, [&] { made = api.call("POST", "/v2/box/from-snapshot", R"({"snapshot_id":")" + id + "\"}", 201); });
        api.call("DELETE", "/v2/box/" + field(made, "id"), "", 200);
        const auto begin = Clock::now();
        made = api.call("POST", "/v2/box", "{}", 201);
        plain.add(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
        api.call("DELETE", "/v2/box/" + field(made, "id"), "", 200);
    }
    samples.report(state);
    state.counters["plain_p50_us"] = plain.at(0.5);
}

// A hundred boxes from one with 10,000 files, in one call.
void fork_hundred(benchmark::State& state) {
    Api api(daemon().socket());
    Filled box(api, 10'000, false);
    Samples samples;
    for (auto unused : state) {
        box.run("echo x >> d1/1");
        samples.time(state,
                     [&] { api.call("POST", box.path() + "/fork", R"({"count":100,"labels":["forked"]})", 201); });
        const std::string list = api.call("GET", "/v2/box?label=forked", "", 200);
        for (size_t at = list.find("\"id\":\""); at != std::string::npos; at = list.find("\"id\":\"", at + 1)) {
            api.call("DELETE", "/v2/box/" + list.substr(at + 6, list.find('"', at + 6) - at - 6), "", 200);
        }
    }
    samples.report(state);
}

// The same tree copied a hundred times would be this once, a hundred times over.
void floor_copy(benchmark::State& state) {
    const std::string from = daemon().rootfs() + "-tree";
    const std::string fill =
        "mkdir " + from + " && cd " + from +
        " && for i in $(seq 10000); do [ $((i % 500)) = 1 ] && mkdir d$i && d=d$i; echo $i > $d/$i; done";
    if (system(fill.c_str()) != 0) state.SkipWithError("cannot make the tree");
    Samples samples;
    for (auto unused : state) {
        const std::string copy = "cp -a --reflink=auto " + from + " " + from + "-copy";
        samples.time(state, [&] {
            if (system(copy.c_str()) != 0) state.SkipWithError("cannot copy the tree");
        });
        (void)remove_tree_at(AT_FDCWD, from + "-copy");
    }
    samples.report(state);
    (void)remove_tree_at(AT_FDCWD, from);
}

// From the start of a daemon whose last one was killed, with 200 living boxes, until it has answered with all of them.
void restart(benchmark::State& state) {
    constexpr int kBoxes = 200;
    for (int i = 0; i < kBoxes; ++i) Api(daemon().socket()).call("POST", "/v2/box", R"({"labels":["kept"]})", 201);
    Samples samples;
    for (auto unused : state) {
        daemon().crash();
        std::string boxes;
        samples.time(state, [&] {
            daemon().start();
            boxes = Api(daemon().socket()).call("GET", "/v2/box?label=kept", "", 200);
        });
        int alive = 0;
        for (size_t at = boxes.find("\"idle\""); at != std::string::npos; at = boxes.find("\"idle\"", at + 1)) ++alive;
        if (alive != kBoxes) state.SkipWithError("not all boxes were taken over");
    }
    samples.report(state);
    Api api(daemon().socket());
    const std::string boxes = api.call("GET", "/v2/box?label=kept", "", 200);
    for (size_t at = boxes.find("\"id\":\""); at != std::string::npos; at = boxes.find("\"id\":\"", at + 1)) {
        api.call("DELETE", "/v2/box/" + boxes.substr(at + 6, boxes.find('"', at + 6) - at - 6), "", 200);
    }
}

double kib_of(const std::string& file, const std::string& key) {
    const auto text = read_file_at(AT_FDCWD, file);
    const size_t at = text.ok() ? text.value().find(key) : std::string::npos;
    return at == std::string::npos ? 0 : std::stod(text.value().substr(at + key.size()));
}

// What a kept connection costs that asks for nothing now, and an exec beside as many of them as there may be.
void connections(benchmark::State& state) {
    constexpr size_t kMost = 9'900;  // of 10,000
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    const size_t many = std::min<size_t>(kMost, limit.rlim_max / 2 - 100);
    Api api(daemon().socket());
    const std::string box = "/v2/box/" + field(api.call("POST", "/v2/box", "{}", 201), "id");
    const std::string memory_of = "/proc/" + std::to_string(daemon().pid()) + "/status";
    Samples samples;
    const double before = kib_of(memory_of, "VmRSS:");
    std::vector<Api> idle;
    for (size_t i = 0; i < many; ++i) idle.emplace_back(daemon().socket()).call("GET", "/v2/box/none", "", 404);
    state.counters["connections"] = static_cast<double>(many);
    state.counters["bytes_each"] = (kib_of(memory_of, "VmRSS:") - before) * 1024 / static_cast<double>(many);
    for (auto unused : state) {
        samples.time(state, [&] { api.call("POST", box + "/exec", R"({"command":["/bin/true"]})", 200); });
    }
    samples.report(state);
    api.call("DELETE", box, "", 200);
}

// Resident memory of hutchd, and private memory of one hutch-init, with 100 idle boxes.
void memory(benchmark::State& state) {
    Api api(daemon().socket());
    for (auto unused : state) {
        std::vector<std::string> ids;
        for (int i = 0; i < 100; ++i) ids.push_back(field(api.call("POST", "/v2/box", "{}", 201), "id"));
        state.counters["hutchd_rss_kib"] = kib_of("/proc/" + std::to_string(daemon().pid()) + "/status", "VmRSS:");
        state.counters["init_private_kib"] = [&] {
            const std::string box = api.call("GET", "/v2/box/" + ids[50] + "?details=1", "", 200);
            const std::string smaps = "/proc/" + field(box, "init_pid") + "/smaps_rollup";
            return kib_of(smaps, "Private_Clean:") + kib_of(smaps, "Private_Dirty:");
        }();
        for (const std::string& id : ids) api.call("DELETE", "/v2/box/" + id, "", 200);
    }
}

}  // namespace

BENCHMARK(floor_container)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(200);
BENCHMARK(create)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(200);
BENCHMARK(floor_spawn)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(500);
BENCHMARK(exec)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(500);
BENCHMARK(exec_tcp)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(500);
BENCHMARK(create_agent)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(200);
BENCHMARK(agent_event)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(500);
BENCHMARK(floor_pause)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(500);
BENCHMARK(pause)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(500);
BENCHMARK(snapshot_rest)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond)
    ->Iterations(9)
    ->Arg(10)
    ->Arg(10'000)
    ->Arg(100'000);
BENCHMARK(snapshot_dirty)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(2)->Arg(10);
BENCHMARK(snapshot_work)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(5)->Arg(10)->Arg(10'000);
BENCHMARK(restore)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(100);
BENCHMARK(floor_copy)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(5);
BENCHMARK(fork_hundred)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(3);
BENCHMARK(restart)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(5);
BENCHMARK(memory)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(connections)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(200);

}  // namespace hutch::bench

int main(int argc, char** argv) {
    // The floor mounts: in a namespace of our own, as hutchd does it.
    if (unshare(CLONE_NEWNS) != 0 || hutch::sys_mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
        perror("bench: taking a mount namespace (root?)");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);  // a connection that hutchd has closed is an error of a write
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    hutch::bench::daemon();
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
