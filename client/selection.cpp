#include "client/selection.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>

namespace hutch::client {
namespace {

struct Filter {
    std::string key;      ///< of the API's object
    std::string pattern;  ///< as glob(7) has them
};

/// What a user calls it, and the API.
constexpr std::array<std::pair<const char*, const char*>, 9> kKeys{{
    {"name", "name"},
    {"id", "id"},
    {"status", "status"},
    {"image", "runtime"},
    {"size", "size"},
    {"label", "labels"},
    {"agent", "agent"},
    {"host", "host"},
    {"customer", "customer_id"},
}};

Result<Filter> parse_filter(const std::string& text) {
    const size_t equals = text.find('=');
    std::string known;
    for (const auto& [key, field] : kKeys) {
        if (equals != std::string::npos && text.substr(0, equals) == key) return Filter{field, text.substr(equals + 1)};
        known += (known.empty() ? "" : ", ") + std::string(key);
    }
    return invalid("--filter: \"" + text + "\" is not KEY=VALUE, with KEY one of " + known);
}

bool fits(const Json& box, const Filter& filter) {
    const auto matches = [&filter](const std::string& text) {
        return fnmatch(filter.pattern.c_str(), text.c_str(), 0) == 0;
    };
    if (filter.key != "labels") return matches(text_of(box, filter.key.c_str()));
    const Json labels = array_of(box, "labels");
    return std::any_of(labels.begin(), labels.end(), [&matches](const Json& label) {
        return label.is_string() && matches(label.get<std::string>());
    });
}

}  // namespace

void add_selection(CLI::App& command, Selection& selection) {
    command.add_option("--label", selection.labels, "Only those with this label; with all of them, if repeated")
        ->type_name("LABEL")
        ->allow_extra_args(false);
    command
        .add_option("--filter", selection.filters,
                    "Only those whose name, id, status, image, size, label, agent\nor customer is so; * and ? fit "
                    "anything; may be repeated")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
}

Result<Json> select_boxes(const Api& api, const Selection& selection, const std::string& query) {
    std::vector<Filter> filters;
    for (const std::string& text : selection.filters) filters.push_back(TRY(parse_filter(text)));
    std::string target = "/v2/box?" + query;
    if (selection.all) target += "&all=1";
    std::string labels;
    for (const std::string& label : selection.labels) labels += (labels.empty() ? "" : ",") + label;
    if (!labels.empty()) target += "&label=" + percent_encode(labels);
    Response listed = TRY(api.open({.method = "GET", .target = target}));
    const std::string silent = listed.header("X-Hutch-Partial");
    if (!silent.empty())
        complain("the boxes of " + silent + " are not listed: a host that does not answer (hutch host ls)");
    const Json boxes = TRY(api.read(listed, target));
    Json fitting = Json::array();
    for (const Json& box : boxes) {
        const bool wanted =
            std::all_of(filters.begin(), filters.end(), [&box](const Filter& f) { return fits(box, f); });
        if (wanted) fitting.push_back(box);
    }
    return fitting;
}

Result<void> check_boxes(const Api& api, const std::vector<std::string>& boxes) {
    std::string missing;
    for (const std::string& box : boxes) {
        const auto there = api.get(box_target(box, "/status"));
        if (there.ok()) continue;
        if (there.error().kind != ErrorKind::kNotFound) return there.error();
        missing += missing.empty() ? there.error().message : ", nor \"" + box + "\"";
    }
    if (!missing.empty()) return Error{ErrorKind::kNotFound, 0, missing};
    return {};
}

Result<int> for_each_box(const Program& program, const std::vector<std::string>& boxes,
                         const std::function<Result<void>(const std::string&)>& call) {
    int code = 0;
    for (const std::string& box : boxes) {
        const auto done = call(box);
        if (done.ok()) continue;
        if (boxes.size() == 1) return done.error();
        complain(box + ": " + program.sentence_of(done.error()));
        code = 1;
    }
    return code;
}

}  // namespace hutch::client
