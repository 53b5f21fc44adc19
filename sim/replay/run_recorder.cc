// One writer behind all hosts' recorders; see the header.
#include "sim/replay/run_recorder.h"

#include <cstring>

#include "sim/replay/boundary_recorder.h"

namespace postern::sim {

Status RunRecorder::open(const std::string& path) {
  Result<std::unique_ptr<TraceWriter>> writer = TraceWriter::create(path);
  if (!writer) return writer.error();
  writer_ = std::move(writer).value();
  return {};
}

ObserverFactory RunRecorder::factory() {
  return [this](const ObserverSite& site) -> std::shared_ptr<BoundaryObserver> {
    TraceRecord record;
    record.kind = RecordKind::kHost;
    record.host = static_cast<uint32_t>(site.host_idx);
    record.data.assign(site.host.name.begin(), site.host.name.end());
    std::memcpy(&record.value, site.host.mac.data(), site.host.mac.size());
    writer_->write(record);
    record.kind = RecordKind::kProperty;
    for (const Property& property : site.properties) {
      record.data.assign(property.name.begin(), property.name.end());
      std::memcpy(&record.value, &property.value, sizeof record.value);
      writer_->write(record);
    }
    return std::make_shared<BoundaryRecorder>(record.host, site.memory, site.now_ps,
                                              [this](const TraceRecord& r) { writer_->write(r); });
  };
}

Status RunRecorder::finish() { return writer_ == nullptr ? Status{} : writer_->finish(); }

}  // namespace postern::sim
