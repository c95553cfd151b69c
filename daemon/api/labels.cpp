// Labels: words a box is found by.

#include <algorithm>
#include <cctype>
#include <sstream>

#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kMostLabels = 5;
constexpr size_t kLongestLabel = 20;

bool is_label(const std::string& text) {
    const auto allowed = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               std::string_view("._-:=").find(c) != std::string_view::npos;
    };
    return !text.empty() && text.size() <= kLongestLabel && std::all_of(text.begin(), text.end(), allowed);
}

Result<std::optional<Response>> set_labels(Services& services, Box& box, std::vector<std::string> labels) {
    TRY(services.boxes.change(box, [&labels](BoxRecord& record) { record.labels = std::move(labels); }));
    return std::optional(answer(Json{{"labels", box.record.labels}}));
}

// Those that a call names: `label`, or several as `labels`.
Result<std::vector<std::string>> named_labels(const Fields& fields) {
    if (!fields.has("labels")) return std::vector<std::string>(1, TRY(fields.required_text("label")));
    return fields.texts("labels");
}

Answer add_labels(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const auto more, named_labels(fields));
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    std::vector<std::string> labels = box->record.labels;
    labels.insert(labels.end(), more.begin(), more.end());
    CO_TRY_LET(labels, checked_labels("label", std::move(labels)));
    co_return set_labels(services, *box, std::move(labels));
}

// All of them or none.
Result<std::optional<Response>> take_away(Services& services, Box& box, const std::vector<std::string>& unwanted) {
    std::vector<std::string> labels = box.record.labels;
    for (const std::string& label : unwanted) {
        if (!contains(box.record.labels, label)) {
            return Error{ErrorKind::kNotFound, 0, "box " + box.record.id + " has no label \"" + label + "\""};
        }
        std::erase(labels, label);
    }
    return set_labels(services, box, std::move(labels));
}

Answer remove_label(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    co_return take_away(services, *box, std::vector<std::string>(1, params.at("label")));
}

Answer remove_labels(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const auto unwanted, named_labels(fields));
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    co_return take_away(services, *box, unwanted);
}

}  // namespace

std::vector<std::string> wanted_labels(const Exchange& exchange) {
    std::vector<std::string> labels;
    const auto found = exchange.request().query.find("label");
    if (found == exchange.request().query.end()) return labels;
    std::istringstream list(found->second);
    for (std::string label; std::getline(list, label, ',');) labels.push_back(std::move(label));
    return labels;
}

bool has_labels(const Box& box, const std::vector<std::string>& wanted) {
    return std::all_of(wanted.begin(), wanted.end(),
                       [&box](const std::string& label) { return contains(box.record.labels, label); });
}

Result<std::vector<std::string>> checked_labels(const std::string& field, std::vector<std::string> labels) {
    std::vector<std::string> kept;
    for (std::string& label : labels) {
        if (!is_label(label)) {
            return invalid(field + ": \"" + label + "\" must be 1 to 20 letters, digits, '.', '_', '-', ':' or '='");
        }
        if (!contains(kept, label)) kept.push_back(std::move(label));
        if (kept.size() > kMostLabels) return invalid(field + ": at most 5 per box; take one away first");
    }
    return kept;
}

void add_label_routes(Router& router, Services& services) {
    router.add("POST", "/v2/box/{id}/config/labels", with(services, add_labels));
    router.add("DELETE", "/v2/box/{id}/config/labels", with(services, remove_labels));
    router.add("DELETE", "/v2/box/{id}/config/labels/{label}", with(services, remove_label));
}

}  // namespace hutch::daemon
