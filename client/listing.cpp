#include "client/table.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <sstream>

#include "client/create.h"
#include "client/format.h"
#include "client/paint.h"
#include "client/selection.h"
#include "client/server_events.h"

namespace hutch::client {
namespace {

struct Column {
    const char* name;
    Cell (*cell)(const Json& box);
};

Cell status_of(const Json& box) {
    const std::string status = text_of(box, "status");
    return {status, tone_of_status(status)};
}

const std::vector<Column>& all_columns() {
    static const std::vector<Column> kColumns = {
        {"name", [](const Json& box) { return Cell(text_of(box, "name")); }},
        {"id", [](const Json& box) { return Cell(text_of(box, "id")); }},
        {"status", status_of},
        {"image", [](const Json& box) { return Cell(text_of(box, "runtime")); }},
        {"size", [](const Json& box) { return Cell(text_of(box, "size")); }},
        {"age", [](const Json& box) { return Cell(format_duration(time(nullptr) - integer_of(box, "created_at"))); }},
        {"cpu", [](const Json& box) { return Cell(format_cpu(count_of(box, "total_cpu_ns"))); }},
        {"cost", [](const Json& box) { return Cell(cost_of(box)); }},
        {"labels", [](const Json& box) { return Cell(joined(array_of(box, "labels"), ",")); }},
        {"agent", [](const Json& box) { return Cell(text_of(box, "agent")); }},
        {"nesting", [](const Json& box) { return Cell(std::string(flag_of(box, "nesting") ? "yes" : "")); }},
        {"host", [](const Json& box) { return Cell(text_of(box, "host")); }},
        {"customer", [](const Json& box) { return Cell(text_of(box, "customer_id")); }},
    };
    return kColumns;
}

const Column* find_column(const std::string& name) {
    const auto& columns = all_columns();
    const auto found =
        std::find_if(columns.begin(), columns.end(), [&](const Column& one) { return name == one.name; });
    return found == columns.end() ? nullptr : &*found;
}

std::string known_columns() {
    std::string names;
    for (const Column& column : all_columns()) names += (names.empty() ? "" : ", ") + std::string(column.name);
    return names;
}

struct ListOptions {
    Selection selection;
    std::string format = "table";
    bool quiet = false, watch = false, json = false;
};

using Columns = std::vector<const Column*>;

/// Of --format; none for a table and for JSON.
Result<Columns> chosen_columns(const std::string& format) {
    Columns columns;
    if (format == "table" || format == "json") return columns;
    std::istringstream names(format);
    for (std::string name; std::getline(names, name, ',');) {
        columns.push_back(find_column(name));
        if (columns.back() == nullptr) {
            return invalid("--format: \"" + name + "\" is neither table, json nor a column: " + known_columns());
        }
    }
    if (columns.empty()) return invalid("--format: must be table, json or columns: " + known_columns());
    return columns;
}

std::string table_text(const Json& boxes, bool all) {
    Columns columns;
    for (const char* name : {"name", "id", "status", "image", "size", "age", "cpu", "cost"}) {
        columns.push_back(find_column(name));
    }
    const bool fleet =
        std::any_of(boxes.begin(), boxes.end(), [](const Json& box) { return !text_of(box, "host").empty(); });
    if (fleet) columns.push_back(find_column("host"));
    if (all) columns.push_back(find_column("customer"));
    const bool nesting =
        std::any_of(boxes.begin(), boxes.end(), [](const Json& box) { return flag_of(box, "nesting"); });
    if (nesting) columns.push_back(find_column("nesting"));
    std::vector<std::string> heads;
    for (const Column* column : columns) {
        heads.emplace_back(column->name);
        for (char& c : heads.back()) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    Table table(heads);
    for (const Json& box : boxes) {
        std::vector<Cell> row;
        for (const Column* column : columns) row.push_back(column->cell(box));
        table.add(std::move(row));
    }
    return table.text(colour_for(STDOUT_FILENO));
}

/// A line for each box, its values parted by tabs: for cut(1) and `read`.
std::string plain_lines(const Json& boxes, const Columns& columns) {
    std::string lines;
    for (const Json& box : boxes) {
        std::string line;
        for (const Column* column : columns) {
            line += (column == columns.front() ? "" : "\t") + printable(column->cell(box).text);
        }
        lines += line + "\n";
    }
    return lines;
}

Result<int> show_boxes(const Json& boxes, const ListOptions& options) {
    if (options.json || options.format == "json") return show_json(boxes);
    const Columns columns = options.quiet ? Columns(1, find_column("id")) : TRY(chosen_columns(options.format));
    return show(columns.empty() ? table_text(boxes, options.selection.all) : plain_lines(boxes, columns));
}

/// Where the events of now on begin: "&after=START-N", or nothing before the first.
Result<std::string> newest_event(const Api& api, const std::string& query) {
    Response response = TRY(api.open({.method = "GET", .target = "/v2/events?follow=0" + query}));
    ServerEvents stream;
    stream.feed(TRY(response.read_all()));
    std::string after;
    while (const auto event = stream.next()) {
        const Json data = parse_json(event->data);
        after = "&after=" + std::to_string(integer_of(data, "start")) + "-" + std::to_string(integer_of(data, "id"));
    }
    return after;
}

/// Shown anew whenever something happens.
Result<int> watch(const Api& api, const ListOptions& options) {
    const std::string query = options.selection.all ? "&all=1" : "";
    const std::string after = TRY(newest_event(api, query));
    Response response = TRY(api.open({.method = "GET", .target = "/v2/events?follow=1" + query + after}));
    const bool terminal = isatty(STDOUT_FILENO) == 1;
    for (;;) {
        const Json boxes = TRY(select_boxes(api, options.selection));
        if (terminal) TRY(show("\x1b[H\x1b[2J"));  // home, and clear from there
        TRY(show_boxes(boxes, options));
        if (TRY(response.read()).empty()) break;
    }
    return Error{ErrorKind::kSystem, 0, "hutchd is shutting down"};
}

Result<int> list_boxes(const Program& program, const ListOptions& options) {
    TRY(chosen_columns(options.format));
    const Api api = TRY(program.api());
    if (options.watch) return watch(api, options);
    return show_boxes(TRY(select_boxes(api, options.selection)), options);
}

}  // namespace

void add_list_command(CLI::App& app, Program& program) {
    const auto options = std::make_shared<ListOptions>();
    CLI::App* command = add_command(app, "ls", "List the boxes\n\nAlso called ps and list.",
                                    "hutch ls --label ci --filter status=idle\n  hutch ls --format name,status,image");
    command->alias("ps");
    command->alias("list");
    add_selection(*command, options->selection);
    CLI::Option* quiet = command->add_flag("-q,--quiet", options->quiet, "Their ids, one a line, and nothing else");
    CLI::Option* format =
        command->add_option("--format", options->format, "table, json, or columns such as name,status: tabs between")
            ->type_name("FORMAT")
            ->excludes(quiet);
    command->add_flag("--watch", options->watch, "Show it anew whenever something happens");
    command->add_flag("--all", options->selection.all, "Those of all customers; over the Unix socket only");
    CLI::Option* json = command->add_flag("--json", options->json, "Print the API's own JSON, for programs");
    json->excludes(quiet)->excludes(format);
    run_on(command, program, options, list_boxes);
}

}  // namespace hutch::client
