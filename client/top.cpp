#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <thread>

#include "client/create.h"
#include "client/format.h"
#include "client/selection.h"
#include "client/table.h"
#include "client/tty.h"

namespace hutch::client {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kRound{2};  // a rate is what lies between two looks

struct Look {
    Clock::time_point at;
    Json boxes;
};

Result<Look> look(const Api& api, const Selection& selection) {
    Json boxes = TRY(select_boxes(api, selection, "stats=1"));
    return Look{Clock::now(), std::move(boxes)};
}

std::map<std::string, int64_t> cpu_times(const Json& boxes) {
    std::map<std::string, int64_t> times;
    for (const Json& box : boxes) times[text_of(box, "id")] = integer_of(box, "total_cpu_ns");
    return times;
}

struct Row {
    const Json* box;
    double percent;  ///< of one CPU
};

/// The busiest first.
std::vector<Row> rows_of(const Look& before, const Look& now) {
    const auto times = cpu_times(before.boxes);
    const double passed = std::chrono::duration<double, std::nano>(now.at - before.at).count();
    std::vector<Row> rows;
    for (const Json& box : now.boxes) {
        const auto earlier = times.find(text_of(box, "id"));
        const int64_t used = earlier == times.end() ? 0 : integer_of(box, "total_cpu_ns") - earlier->second;
        rows.push_back({&box, std::max(0.0, 100 * static_cast<double>(used) / passed)});
    }
    std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.percent > b.percent; });
    return rows;
}

std::string table_of(const std::vector<Row>& rows, size_t most) {
    Table table({"NAME", "ID", "STATUS", "CPU", "MEMORY", "LIMIT", "DISK"});
    for (const Row& row : rows) {
        if (most-- == 0) break;
        const std::string status = text_of(*row.box, "status");
        const Json stats = object_of(*row.box, "stats");
        table.add({Cell(text_of(*row.box, "name")), Cell(text_of(*row.box, "id")), Cell(status, tone_of_status(status)),
                   Cell(std::to_string(std::lround(row.percent)) + "%"), Cell(size_of(stats, "memory_bytes")),
                   Cell(size_of(stats, "memory_limit_bytes")), Cell(size_of(stats, "disk_bytes"))});
    }
    return table.text(colour_for(STDOUT_FILENO));
}

std::string summary_of(const std::vector<Row>& rows) {
    double percent = 0;
    uint64_t memory = 0;
    for (const Row& row : rows) {
        percent += row.percent;
        memory += count_of(object_of(*row.box, "stats"), "memory_bytes");
    }
    return std::to_string(rows.size()) + " boxes, " + std::to_string(std::lround(percent)) + "% of a CPU, " +
           format_size(memory) + " of memory\n";
}

/// On a terminal until it is interrupted; elsewhere once.
Result<int> top(const Program& program, const Selection& selection) {
    const Api api = TRY(program.api());
    const bool terminal = isatty(STDOUT_FILENO) == 1;
    Look before = TRY(look(api, selection));
    for (;;) {
        std::this_thread::sleep_for(kRound);
        Look now = TRY(look(api, selection));
        const std::vector<Row> rows = rows_of(before, now);
        const size_t most = terminal ? std::max(window_size().rows, 4U) - 3 : rows.size();
        const std::string screen = terminal ? "\x1b[H\x1b[2J" + summary_of(rows) : "";
        TRY(show(screen + table_of(rows, most)));
        if (!terminal) return 0;
        before = std::move(now);
    }
}

}  // namespace

void add_top_command(CLI::App& app, Program& program) {
    const auto selection = std::make_shared<Selection>();
    CLI::App* command = add_command(app, "top",
                                    "Show what boxes use now, the busiest first\n\nCPU as part of one CPU, over two "
                                    "seconds; disk as last added up. On a terminal until\nyou press Ctrl-C; elsewhere "
                                    "once.",
                                    "hutch top --filter status=running");
    add_selection(*command, *selection);
    command->add_flag("--all", selection->all, "Those of all customers; over the Unix socket only");
    run_on(command, program, selection, top);
}

}  // namespace hutch::client
