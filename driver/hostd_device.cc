// Connect, start, lose, reconnect: see hostd_device.h.
#include "driver/hostd_device.h"

#include <algorithm>

namespace postern::hostd {

Status DeviceSession::open() {
  const auto failed = [this](const Error& error) {
    last_error_ = error.message;
    backoff_ms_ = std::min(backoff_ms_ * 2, kBackoffMostMs);
    manager_.reset();
    function_.reset();
    return Status(error);
  };
  Result<std::unique_ptr<LiveFunction>> function = connector_();
  if (!function) {
    return failed(function.error());
  }
  function_ = std::move(function).value();
  manager_ = std::make_unique<ResourceManager>(*function_, allocator_, config_);
  if (Status status = manager_->start(); !status) {
    return failed(status.error());
  }
  // Another session must not hand out the same ephemeral ports in the same order.
  ++config_.ports.seed;
  ++generation_;
  backoff_ms_ = kBackoffFirstMs;
  last_error_.clear();
  return {};
}

void DeviceSession::close() {
  if (manager_) {
    manager_->stop();
  }
  manager_.reset();
  function_.reset();
}

void DeviceSession::abandon() {
  if (manager_) {
    manager_->abandon();
  }
  manager_.reset();
  function_.reset();
}

bool DeviceSession::is_gone() { return !function_ || !function_->service_connection().ok(); }

}  // namespace postern::hostd
