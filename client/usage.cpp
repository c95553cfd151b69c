#include <unistd.h>

#include "client/format.h"
#include "client/paint.h"
#include "client/program.h"
#include "client/table.h"

namespace hutch::client {
namespace {

struct UsageOptions {
    std::string box, period;
    bool json = false;
};

std::string traffic(const Json& usage) {
    return size_of(usage, "network_sent_bytes") + " sent, " + size_of(usage, "network_received_bytes") + " received";
}

std::string storage(const Json& usage) {
    return format_size(static_cast<uint64_t>(std::max(number_of(usage, "storage_byte_hours"), 0.0))) + "-hours";
}

std::string name_of(const Json& usage) {
    const std::string name = text_of(usage, "name");
    return name.empty() ? text_of(usage, "box_id") : name;
}

/// The bill, line by line: what was used, at which rate, what that makes.
std::string explain(const Json& usage, const Json& rates, Colour colour) {
    const double cpu_hours = number_of(usage, "cpu_ns") / 3.6e12;
    const double gb_months = number_of(usage, "storage_byte_hours") / 1e9 / 730;
    Table table({"WHAT", "USED", "RATE", "COST"});
    table.add({Cell("CPU"), format_cpu(count_of(usage, "cpu_ns")) + " = " + format_amount(cpu_hours) + " vCPU-hours",
               format_cost(number_of(rates, "cpu_hour_usd")) + " per active vCPU-hour",
               format_cost(number_of(usage, "compute_cost_usd"))});
    table.add({Cell("Storage"), storage(usage) + " = " + format_amount(gb_months) + " GB-months",
               format_cost(number_of(rates, "gb_month_usd")) + " per GB-month",
               format_cost(number_of(usage, "storage_cost_usd"))});
    table.add({Cell("Memory"), size_of(usage, "memory_peak_bytes") + " at most", Cell("free"), format_cost(0)});
    table.add({Cell("Network"), traffic(usage), Cell("free"), format_cost(0)});
    table.add({Cell("Total"), Cell(""), Cell(""), format_cost(number_of(usage, "cost_usd"))});
    return table.text(colour);
}

Result<int> show_box(const Api& api, const UsageOptions& options) {
    const Json usage = TRY(api.get(box_target(options.box, "/usage")));
    Json shown = usage;
    if (!options.period.empty()) {
        shown = Json();
        for (const Json& month : array_of(usage, "periods")) {
            if (text_of(month, "period") == options.period) shown = month;
        }
        if (shown.is_null()) {
            return Error{ErrorKind::kNotFound, 0, "box " + options.box + " used nothing in " + options.period};
        }
    }
    if (options.json) return show_json(shown);
    std::string title = name_of(usage);
    if (usage.value("deleted", false)) title += " (deleted)";
    title += ", " + (options.period.empty() ? "since it was made" : options.period);
    const Colour colour = colour_for(STDOUT_FILENO);
    return show(printable(title) + "\n" + explain(shown, usage.value("rates", Json::object()), colour));
}

Result<int> show_all(const Api& api, const UsageOptions& options) {
    const std::string query = options.period.empty() ? "" : "?period=" + percent_encode(options.period);
    const Json usage = TRY(api.get("/v2/usage" + query));
    if (options.json) return show_json(usage);
    const Colour colour = colour_for(STDOUT_FILENO);
    Table table({"NAME", "ID", "CPU", "STORAGE", "MEMORY PEAK", "SENT", "RECEIVED", "COST"});
    for (const Json& box : array_of(usage, "boxes")) {
        const bool deleted = box.value("deleted", false);
        table.add({{text_of(box, "name"), deleted ? Tone::kDim : Tone::kPlain},
                   {text_of(box, "box_id"), deleted ? Tone::kDim : Tone::kPlain},
                   format_cpu(count_of(box, "cpu_ns")),
                   storage(box),
                   size_of(box, "memory_peak_bytes"),
                   size_of(box, "network_sent_bytes"),
                   size_of(box, "network_received_bytes"),
                   format_cost(number_of(box, "cost_usd"))});
    }
    return show(table.text(colour) + "\nAll boxes, " + text_of(usage, "period") + "\n" +
                explain(usage, usage.value("rates", Json::object()), colour));
}

Result<int> usage(const Program& program, const UsageOptions& options) {
    const Api api = TRY(program.api());
    return options.box.empty() ? show_all(api, options) : show_box(api, options);
}

}  // namespace

void add_usage_command(CLI::App& app, Program& program) {
    const auto options = std::make_shared<UsageOptions>();
    CLI::App* command = add_command(app, "usage",
                                    "Show what boxes have used and what that costs\n\nOf one box, or of all in a "
                                    "month, deleted ones among them.",
                                    "hutch usage web");
    add_box(*command, options->box)->required(false);
    command->add_option("--period", options->period, "A month by UTC; default: this one, or all of a box's time")
        ->type_name("YYYY-MM");
    add_json_flag(*command, options->json);
    run_on(command, program, options, usage);
}

}  // namespace hutch::client
