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

Result<void> Records::put_blob(const LayerBlobRecord& blob) {
    return database_.query("INSERT OR REPLACE INTO layer_blobs VALUES (?, ?, ?, ?, ?, ?)")
        .bind(blob.layer)
        .bind(blob.digest)
        .bind(blob.chain_id)
        .bind(blob.diff_id)
        .bind(blob.media_type)
        .bind(blob.bytes)
        .run();
}

namespace {

Result<std::vector<LayerBlobRecord>> blobs_in(Query& query) {
    std::vector<LayerBlobRecord> blobs;
    while (TRY(query.step())) {
        blobs.push_back({.layer = query.text(0),
                         .chain_id = query.text(2),
                         .diff_id = query.text(3),
                         .digest = query.text(1),
                         .media_type = query.text(4),
                         .bytes = query.number(5)});
    }
    return blobs;
}

}  // namespace

Result<std::vector<LayerBlobRecord>> Records::blobs_of(const std::string& layer) {
    Query query = database_.query("SELECT * FROM layer_blobs WHERE layer = ? ORDER BY digest");
    query.bind(layer);
    return blobs_in(query);
}

Result<std::vector<LayerBlobRecord>> Records::blobs_of_chain(const std::string& chain_id) {
    Query query = database_.query("SELECT * FROM layer_blobs WHERE chain_id = ? ORDER BY layer, digest");
    query.bind(chain_id);
    return blobs_in(query);
}

Result<std::vector<std::string>> Records::layers_with_blobs() {
    std::vector<std::string> layers;
    Query query = database_.query("SELECT DISTINCT layer FROM layer_blobs");
    while (TRY(query.step())) layers.push_back(query.text(0));
    return layers;
}

Result<void> Records::drop_blobs(const std::string& layer) {
    return database_.query("DELETE FROM layer_blobs WHERE layer = ?").bind(layer).run();
}

}  // namespace hutch::daemon
