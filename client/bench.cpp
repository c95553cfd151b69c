#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <optional>
#include <thread>

#include "client/format.h"
#include "client/latencies.h"
#include "client/paint.h"
#include "client/program.h"
#include "client/table.h"

namespace hutch::client {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kStagger{200};
constexpr std::chrono::milliseconds kLook{100};
constexpr int64_t kLifetime = 600;  // seconds: of a box whose deletion this program did not live to see
constexpr size_t kMostBoxes = 1000;

struct BenchOptions {
    size_t count = 100;
    std::string image;
    std::string command = "echo benchmark";
    std::vector<std::string> modes;
    bool json = false;
};

struct Mode {
    const char* name;
    bool together;  ///< one does not wait for the one before
    std::chrono::milliseconds between;
};
constexpr Mode kModes[] = {{"sequential", false, {}}, {"staggered", true, kStagger}, {"burst", true, {}}};

struct Sample {
    double ms = 0;
    std::string error{};  ///< empty: it succeeded
};

struct Outcome {
    const Mode* mode;
    std::vector<Sample> samples{};
    double wall_ms = 0;

    [[nodiscard]] std::vector<double> times() const {
        std::vector<double> ms;
        for (const Sample& sample : samples) {
            if (sample.error.empty()) ms.push_back(sample.ms);
        }
        return ms;
    }
};

std::atomic<bool> interrupted = false;

/// While this lives, an interrupt ends the bench when the boxes that are there are deleted.
class Interruptible {
  public:
    Interruptible() {
        struct sigaction action {};
        action.sa_handler = [](int) { interrupted = true; };
        action.sa_flags = SA_RESETHAND | SA_RESTART;  // the second one ends the program
        (void)sigaction(SIGINT, &action, &before_);
    }
    Interruptible(const Interruptible&) = delete;
    Interruptible& operator=(const Interruptible&) = delete;
    ~Interruptible() { (void)sigaction(SIGINT, &before_, nullptr); }

  private:
    struct sigaction before_ {};
};

double ms_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

/// Tells how far a mode is, on a terminal.
class Line {
  public:
    Line(const Mode& mode, size_t count) : mode_(mode), count_(count), shown_(isatty(STDERR_FILENO) == 1) {}
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;
    ~Line() {
        if (shown_) (void)std::fputs("\r\x1b[K", stderr);
    }
    void step() {
        const std::lock_guard lock(mutex_);
        if (shown_) (void)std::fprintf(stderr, "\r\x1b[K%s  %zu of %zu boxes", mode_.name, ++done_, count_);
    }

  private:
    const Mode& mode_;
    size_t count_;
    bool shown_;
    std::mutex mutex_;
    size_t done_ = 0;
};

/// From the call that makes a box until its first command has answered. Its id is told as soon as there is one.
Result<void> use_box(const Api& api, const Json& body, const std::string& command, std::string& id) {
    Json box = TRY(api.call("POST", "/v2/box", body));
    id = text_of(box, "id");
    while (text_of(box, "status") ==
           "creating") {  // of hosts that answer before it is ready, and tell it in no other way
        std::this_thread::sleep_for(kLook);
        box = TRY(api.get(box_target(id)));
    }
    const Json run = TRY(api.call("POST", box_target(id, "/exec"), {{"command", {"sh", "-c", command}}}));
    const int64_t code = integer_of(run, "exit_code");
    if (code == 0) return {};
    std::string said = text_of(run, "error");
    said.resize(said.find_last_not_of('\n') + 1);
    return Error{
        ErrorKind::kSystem, 0,
        "--command: \"" + command + "\" ended with " + std::to_string(code) + (said.empty() ? "" : ": " + said)};
}

Sample measure(const Api& api, const Json& body, const std::string& command) {
    std::string id;
    const auto begin = Clock::now();
    const auto used = use_box(api, body, command, id);
    Sample sample{ms_since(begin), used.ok() ? "" : used.error().message};
    if (id.empty()) return sample;
    const auto removed = api.call("DELETE", box_target(id));
    if (!removed.ok() && sample.error.empty()) sample.error = removed.error().message;
    return sample;
}

Outcome run_mode(const Api& api, const Mode& mode, const BenchOptions& options) {
    Json body{{"ephemeral", true}, {"ttl", kLifetime}};
    if (!options.image.empty()) body["runtime"] = options.image;
    Outcome outcome{&mode};
    outcome.samples.resize(options.count, {0, "interrupted"});
    Line line(mode, options.count);
    const auto one = [&](Sample& sample) {
        sample = measure(api, body, options.command);
        line.step();
    };
    const auto begin = Clock::now();
    std::vector<std::thread> threads;
    for (Sample& sample : outcome.samples) {
        if (interrupted) break;
        if (!mode.together) {
            one(sample);
            continue;
        }
        threads.emplace_back(one, std::ref(sample));
        if (mode.between.count() > 0) std::this_thread::sleep_for(mode.between);
    }
    for (std::thread& thread : threads) thread.join();
    outcome.wall_ms = ms_since(begin);
    return outcome;
}

/// In the form in which the public leaderboards keep their results.
Json json_of(const Api& api, const Outcome& outcome) {
    Json iterations = Json::array();
    for (const Sample& sample : outcome.samples) {
        iterations.push_back(sample.error.empty() ? Json{{"ttiMs", sample.ms}}
                                                  : Json{{"ttiMs", 0}, {"error", sample.error}});
    }
    const auto times = outcome.times();
    const Latencies all = latencies_of(times);
    Json json{
        {"provider", api.endpoint().host.text},
        {"mode", outcome.mode->name},
        {"iterations", std::move(iterations)},
        {"summary",
         {{"ttiMs", {{"min", all.min}, {"median", all.median}, {"p95", all.p95}, {"p99", all.p99}, {"max", all.max}}}}},
        {"compositeScore", leaderboard_score(times, outcome.samples.size())},
        {"successRate", static_cast<double>(times.size()) / static_cast<double>(outcome.samples.size())},
        {"wallClockMs", outcome.wall_ms}};
    if (outcome.mode->together) json["concurrency"] = outcome.samples.size();
    if (outcome.mode->between.count() > 0) json["staggerDelayMs"] = outcome.mode->between.count();
    return json;
}

std::string ms_text(double ms) {
    if (ms == 0) return "-";  // of none
    char text[32];
    (void)std::snprintf(text, sizeof text, ms < 100 ? "%.1f ms" : "%.0f ms", ms);
    return text;
}

std::string table_of(const std::vector<Outcome>& outcomes) {
    Table table({"BOXES", "COUNT", "FAILED", "MIN", "MEDIAN", "P95", "P99", "MAX", "SCORE"});
    for (const Outcome& outcome : outcomes) {
        const auto times = outcome.times();
        const Latencies all = latencies_of(times);
        const size_t count = outcome.samples.size();
        char score[16];
        (void)std::snprintf(score, sizeof score, "%.1f", leaderboard_score(times, count));
        table.add({std::string(outcome.mode->name), std::to_string(count), std::to_string(count - times.size()),
                   ms_text(all.min), ms_text(all.median), ms_text(all.p95), ms_text(all.p99), ms_text(all.max),
                   std::string(score)});
    }
    return table.text(colour_for(STDOUT_FILENO));
}

/// The first of each mode, since the others mostly say the same.
int tell_failures(const std::vector<Outcome>& outcomes) {
    int code = 0;
    for (const Outcome& outcome : outcomes) {
        const auto failed = [](const Sample& sample) { return !sample.error.empty(); };
        const auto first = std::find_if(outcome.samples.begin(), outcome.samples.end(), failed);
        if (first == outcome.samples.end()) continue;
        complain(std::string(outcome.mode->name) + ": " + first->error);
        code = 1;
    }
    return code;
}

Result<int> bench(const Program& program, const BenchOptions& options) {
    const Api api = TRY(program.api());
    const Interruptible until_interrupted;
    std::vector<Outcome> outcomes;
    for (const Mode& mode : kModes) {
        const auto& asked = options.modes;
        if (interrupted || (!asked.empty() && std::find(asked.begin(), asked.end(), mode.name) == asked.end()))
            continue;
        outcomes.push_back(run_mode(api, mode, options));
        if (outcomes.back().times().empty()) return tell_failures(outcomes);  // the others would fail as well
    }
    if (options.json) {
        Json results = Json::array();
        for (const Outcome& outcome : outcomes) results.push_back(json_of(api, outcome));
        TRY(show_json({{"version", "1.1"},
                       {"config", {{"iterations", options.count}, {"command", options.command}}},
                       {"results", results}}));
    } else {
        TRY(show(table_of(outcomes)));
    }
    return tell_failures(outcomes);
}

}  // namespace

void add_bench_command(CLI::App& app, Program& program) {
    const auto options = std::make_shared<BenchOptions>();
    CLI::App* command = add_command(
        app, "bench",
        "Measure how soon a new box has run its first command\n\nOne box after the other (sequential), one every 200 "
        "ms "
        "(staggered), and all at once\n(burst), as the public leaderboards of sandboxes measure: from the call that "
        "makes "
        "a box\nuntil its first command has answered. Any host of the Box v2 API will do, but each\nrequest makes a "
        "connection of its own. Every box is deleted at once; SCORE is the\nleaderboards' own, of 100.",
        "hutch bench --image node --command 'node -v'");
    command->add_option("-n,--count", options->count, "Boxes of each kind of run; default 100")
        ->type_name("N")
        ->check(CLI::Range(size_t{1}, kMostBoxes).description(""));
    command->add_option("--image", options->image, "Their image; else the host's default")->type_name("IMAGE");
    command->add_option("--command", options->command, "Run by a shell; default `echo benchmark`")
        ->type_name("COMMAND");
    command->add_option("--only", options->modes, "Only this; repeated")
        ->type_name("sequential|staggered|burst")
        ->allow_extra_args(false)
        ->check(CLI::IsMember({"sequential", "staggered", "burst"}).description(""));
    command->add_flag("--json", options->json, "Print JSON, in the form of the leaderboards' results");
    run_on(command, program, options, bench);
}

}  // namespace hutch::client
