// etcd's JSON: keys and values are base64, whole numbers are texts, and what is zero or false is left out.

#include <charconv>

#include "daemon/base64.h"
#include "daemon/fleet/etcd.h"
#include "daemon/wire/json.h"

namespace hutch::daemon::etcd {
namespace {

int64_t number_in(const Json& object, const char* key) {
    const std::string text = text_at(object, key);
    int64_t number = 0;
    (void)std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

Result<EtcdRow> row_of(const Json& kv) {
    auto key = decode_base64(text_at(kv, "key"));
    auto value = decode_base64(text_at(kv, "value"));
    if (!key || !value) return Etcd::unreachable("answered with a key that is no base64");
    return EtcdRow{*std::move(key), *std::move(value), number_in(kv, "create_revision"), number_in(kv, "mod_revision")};
}

Result<std::vector<EtcdRow>> rows_of(const Json& range) {
    std::vector<EtcdRow> rows;
    for (const Json& kv : array_at(range, "kvs")) rows.push_back(TRY(row_of(kv)));
    return rows;
}

Result<Json> parsed(const std::string& text) {
    auto json = parse_json(text);
    if (json.ok()) return json;
    return Etcd::unreachable("answered with what is " + json.error().message);
}

Json compare_revision(const std::string& key, const char* result) {
    return {{"key", encode_base64(key)}, {"target", "CREATE"}, {"result", result}, {"create_revision", "0"}};
}

}  // namespace

std::string end_of_prefix(std::string prefix) {
    ++prefix.back();
    return prefix;
}

std::string txn_text(const EtcdTxn& txn) {
    Json compare = Json::array();
    for (const std::string& key : txn.absent) compare.push_back(compare_revision(key, "EQUAL"));
    for (const std::string& key : txn.present) compare.push_back(compare_revision(key, "GREATER"));
    for (const auto& [key, value] : txn.holding) {
        compare.push_back(
            {{"key", encode_base64(key)}, {"target", "VALUE"}, {"result", "EQUAL"}, {"value", encode_base64(value)}});
    }
    Json success = Json::array();
    for (const EtcdTxn::Put& put : txn.puts) {
        const Json what = {
            {"key", encode_base64(put.key)}, {"value", encode_base64(put.value)}, {"lease", std::to_string(put.lease)}};
        success.push_back({{"request_put", what}});
    }
    const auto removal = [](const std::string& key) {
        return Json{{"request_delete_range", {{"key", encode_base64(key)}}}};
    };
    for (const std::string& key : txn.removals) success.push_back(removal(key));
    Json failure = Json::array();
    for (const std::string& key : txn.otherwise_removals) failure.push_back(removal(key));
    for (const std::string& key : txn.otherwise_reads) {
        failure.push_back({{"request_range", {{"key", encode_base64(key)}}}});
    }
    return dump(Json{{"compare", compare}, {"success", success}, {"failure", failure}});
}

Result<EtcdOutcome> outcome_of(const std::string& text) {
    const Json json = TRY(parsed(text));
    EtcdOutcome outcome;
    outcome.done = flag_at(json, "succeeded");
    for (const Json& response : array_at(json, "responses")) {
        for (EtcdRow& row : TRY(rows_of(object_at(response, "response_range"))))
            outcome.found.push_back(std::move(row));
    }
    return outcome;
}

Result<Page> page_of(const std::string& text) {
    const Json json = TRY(parsed(text));
    Page page;
    page.rows = TRY(rows_of(json));
    page.revision = number_in(object_at(json, "header"), "revision");
    page.more = flag_at(json, "more");
    return page;
}

Result<std::vector<EtcdEvent>> events_of(const std::string& line) {
    const Json json = TRY(parsed(line));
    const std::string failure = text_at(object_at(json, "error"), "message");
    if (!failure.empty()) return Etcd::unreachable(failure);
    const Json& result = object_at(json, "result");
    if (number_in(result, "compact_revision") > 0) {
        return Error{ErrorKind::kNotFound, 0, "the fleet's etcd: what happened before was compacted"};
    }
    if (flag_at(result, "canceled")) return Etcd::unreachable("ended a watch");
    std::vector<EtcdEvent> events;
    for (const Json& event : array_at(result, "events")) {
        events.push_back({TRY(row_of(object_at(event, "kv"))), text_at(event, "type") == "DELETE"});
    }
    return events;
}

}  // namespace hutch::daemon::etcd
