#include "daemon/store/records.h"

namespace hutch::daemon {
namespace {

PreviewRecord preview_of(const Query& query) {
    return {.box = query.text(0),
            .port = static_cast<uint16_t>(query.number_within(1, 1, UINT16_MAX)),
            .id = query.text(2),
            .created_at = query.number(3),
            .token_hash = query.text(4),
            .basic_hash = query.text(5)};
}

}  // namespace

Result<void> Records::put_preview(const PreviewRecord& preview) {
    return database_.query("INSERT OR REPLACE INTO previews VALUES (?, ?, ?, ?, ?, ?)")
        .bind(preview.box)
        .bind(int64_t{preview.port})
        .bind(preview.id)
        .bind(preview.created_at)
        .bind(preview.token_hash)
        .bind(preview.basic_hash)
        .run();
}

Result<void> Records::drop_preview(const std::string& box, uint16_t port) {
    return database_.query("DELETE FROM previews WHERE box = ? AND port = ?").bind(box).bind(int64_t{port}).run();
}

Result<std::vector<PreviewRecord>> Records::previews(const std::string& box) {
    std::vector<PreviewRecord> previews;
    Query query = database_.query("SELECT * FROM previews WHERE box = ? ORDER BY port");
    query.bind(box);
    while (TRY(query.step())) previews.push_back(preview_of(query));
    return previews;
}

Result<std::optional<PreviewRecord>> Records::preview(const std::string& box, uint16_t port) {
    Query query = database_.query("SELECT * FROM previews WHERE box = ? AND port = ?");
    query.bind(box).bind(int64_t{port});
    if (!TRY(query.step())) return std::optional<PreviewRecord>();
    return std::optional(preview_of(query));
}

}  // namespace hutch::daemon
