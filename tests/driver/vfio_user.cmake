postern_add_test(foreign_fd_closer_test
  SOURCES foreign_fd_closer_test.cc
  LIBS postern_foreign_fd_closer
  LABELS live)
postern_add_test(eventfd_signaller_test SOURCES eventfd_signaller_test.cc LIBS postern_eventfd_signaller)

# The wire format, and client against server in one process.
postern_add_test(vfio_user_protocol_test SOURCES vfio_user_protocol_test.cc LIBS postern_vfio_user_wire)
postern_add_test(vfio_user_function_test
  SOURCES vfio_user_function_test.cc
  LIBS postern_vfio_user postern_vfio_user_server
  LABELS live)
