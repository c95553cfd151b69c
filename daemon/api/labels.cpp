// Labels: words a box is found by.

#include <algorithm>
#include <cctype>

#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kMostLabels = 5;
constexpr size_t kLongestLabel = 20;

bool is_label(const std::string& text) {
    const auto allowed = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-' || c == ':';
    };
    return !text.empty() && text.size() <= kLongestLabel && std::all_of(text.begin(), text.end(), allowed);
}

Result<std::optional<Response>> set_labels(Services& services, Box& box, std::vector<std::string> labels) {
    TRY(services.boxes.change(box, [&labels](BoxRecord& record) { record.labels = std::move(labels); }));
    return std::optional(answer(Json{{"labels", box.record.labels}}));
}

Answer add(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string label, fields.required_text("label"));
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    std::vector<std::string> labels = box->record.labels;
    labels.push_back(label);
    CO_TRY_LET(labels, checked_labels("label", std::move(labels)));
    co_return set_labels(services, *box, std::move(labels));
}

Answer remove(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    std::vector<std::string> labels = box->record.labels;
    const std::string& label = params.at("label");
    if (std::erase(labels, label) == 0) {
        co_return Error{ErrorKind::kNotFound, 0, "box " + box->record.id + " has no label \"" + label + "\""};
    }
    co_return set_labels(services, *box, std::move(labels));
}

}  // namespace

Result<std::vector<std::string>> checked_labels(const std::string& field, std::vector<std::string> labels) {
    std::vector<std::string> kept;
    for (std::string& label : labels) {
        if (!is_label(label)) {
            return invalid(field + ": \"" + label + "\" must be 1 to 20 letters, digits, '.', '_', '-' or ':'");
        }
        if (!contains(kept, label)) kept.push_back(std::move(label));
        if (kept.size() > kMostLabels) return invalid(field + ": at most 5 per box; take one away first");
    }
    return kept;
}

void add_label_routes(Router& router, Services& services) {
    router.add("POST", "/v2/box/{id}/config/labels", with(services, add));
    router.add("DELETE", "/v2/box/{id}/config/labels/{label}", with(services, remove));
}

}  // namespace hutch::daemon
