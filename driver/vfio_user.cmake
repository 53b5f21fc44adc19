# Closes descriptors from outside in threads of its own.
postern_add_library(postern_foreign_fd_closer SOURCES foreign_fd_closer.cc LIBS Threads::Threads)

# The live transport: shared-memory windows and clock (all that an application needs of it), the vfio-user wire format
# (client and server), and the vfio-user client.
postern_add_library(postern_mapped_window SOURCES mapped_vi_window.cc LIBS postern_contract)
postern_add_library(postern_vfio_user_wire SOURCES vfio_user_protocol.cc vfio_user_socket.cc
  LIBS postern_foreign_fd_closer)
postern_add_library(postern_vfio_user
  SOURCES vfio_user_function.cc vfio_user_connection.cc
  LIBS postern_mapped_window postern_vfio_user_wire)

# Signals eventfds that untrusted processes hold (MSI-X of a VI, wakeups of hostd).
postern_add_library(postern_eventfd_signaller SOURCES eventfd_signaller.cc)
