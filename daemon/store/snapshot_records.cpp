#include "daemon/store/records.h"

namespace hutch::daemon {

Result<void> Records::put_snapshot(const SnapshotRecord& snapshot) {
    const std::string env = TRY(seal(join(snapshot.env), "snapshots.env", snapshot.id));
    return database_
        .query(
            "INSERT INTO snapshots VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) "
            "ON CONFLICT (id) DO UPDATE SET bytes = ?9, booked_ms = ?10, measured = ?12")
        .bind(snapshot.id)
        .bind(snapshot.name)
        .bind(snapshot.box)
        .bind(snapshot.box_name)
        .bind(snapshot.image)
        .bind(join(snapshot.layers))
        .bind(snapshot.size)
        .bind(env)
        .bind(snapshot.bytes)
        .bind(snapshot.booked_ms)
        .bind(snapshot.created_ms)
        .bind(int64_t{snapshot.measured})
        .bind(snapshot.customer)
        .bind(int64_t{snapshot.nesting})
        .run();
}

Result<void> Records::drop_snapshot(const std::string& id) {
    return database_.query("DELETE FROM snapshots WHERE id = ?").bind(id).run();
}

Result<std::vector<SnapshotRecord>> Records::snapshots() {
    std::vector<SnapshotRecord> snapshots;
    Query query = database_.query("SELECT * FROM snapshots ORDER BY created_ms, id");
    while (TRY(query.step())) {
        const std::string env = TRY(unseal(query.text(7), "snapshots.env", query.text(0)));
        snapshots.push_back({.id = query.text(0),
                             .customer = query.text(12),
                             .name = query.text(1),
                             .box = query.text(2),
                             .box_name = query.text(3),
                             .image = query.text(4),
                             .layers = split(query.text(5)),
                             .size = query.text(6),
                             .env = split_pairs(env),
                             .bytes = query.number(8),
                             .measured = query.number(11) != 0,
                             .booked_ms = query.number_within(9, 0, kLatestMs),
                             .created_ms = query.number(10),
                             .nesting = query.number(13) != 0});
    }
    return snapshots;
}

}  // namespace hutch::daemon
