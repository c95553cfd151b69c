#include "daemon/store/records.h"

namespace hutch::daemon {

Result<void> Records::put_layer(const LayerRecord& layer) {
    return database_.query("INSERT OR REPLACE INTO layers VALUES (?, ?, ?)")
        .bind(layer.id)
        .bind(layer.bytes)
        .bind(int64_t{layer.of_image})
        .run();
}

Result<void> Records::drop_layer(const std::string& id) {
    return database_.query("DELETE FROM layers WHERE id = ?").bind(id).run();
}

Result<std::vector<LayerRecord>> Records::layers() {
    std::vector<LayerRecord> layers;
    Query query = database_.query("SELECT * FROM layers");
    while (TRY(query.step())) {
        layers.push_back({.id = query.text(0), .bytes = query.number_if_any(1), .of_image = query.number(2) != 0});
    }
    return layers;
}

}  // namespace hutch::daemon
