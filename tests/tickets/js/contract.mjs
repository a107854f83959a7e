// The contract's own snippets, as they are written but for the address and what only a page has:
// React's state and its toasts. What happens goes to stdout, one JSON value to a line.
import { io } from "socket.io-client";

const [snippet, base, ...rest] = process.argv.slice(2);
const tell = (...what) => process.stdout.write(JSON.stringify(what) + "\n");
const address = base.replace("http", "ws") + "/ws/queue";
const console = { log: (...what) => tell("log", ...what), error: (...what) => tell("error", ...what.map(String)) };
const toast = { success: (what) => tell("success", what), info: (what) => tell("info", what), error: (what) => tell("failed", what) };
const wireFetch = globalThis.fetch;
const fetch = (path, options) => wireFetch(base + path, options);

const snippets = {
  // Connection Setup, and every event of the specification.
  connection: ([counterId, token]) => {
    const socket = io(address, {
      auth: token ? { token } : undefined,
      query: {
        client_type: 'tv_display',
        counter_id: Number(counterId)
      }
    });
    socket.on('connect', () => {
      console.log('Connected to queue WebSocket');

      // Server gửi initial queue state
      socket.on('initial-queue-state', (data) => {
        console.log('Initial state:', data);
      });
    });
    socket.on('connect_error', (error) => {
      console.error('WebSocket connection failed:', error);
    });
    socket.on('disconnect', (reason) => {
      console.log('Disconnected:', reason);

      // Auto-reconnect logic
      if (reason === 'io server disconnect') {
        socket.connect();
      }
    });
    socket.on('ticket-created', (data) => {
      console.log('New ticket:', data);
    });
    socket.on('ticket-updated', (data) => {
      console.log('Ticket updated:', data);
    });
    socket.on('counter-status-changed', (data) => {
      console.log('Counter status:', data);
    });
    socket.on('queue-announcement', (data) => {
      console.log('System announcement:', data);
    });
    // Officer subscribe to their counter only
    socket.emit('subscribe-counter', {
      counter_id: Number(counterId)
    });
    socket.emit('heartbeat', {
      client_type: 'tv_display',
      timestamp: new Date().toISOString()
    });
  },

  // TV Display Component
  display: () => {
    let queueData = null;
    const setQueueData = (next) => {
      queueData = typeof next === "function" ? next(queueData) : next;
      tell("queueData", queueData);
    };
    const newSocket = io(address, {
      query: { client_type: 'tv_display' }
    });
    newSocket.on('connect', () => {
      console.log('🔌 Connected to queue WebSocket');
    });
    newSocket.on('initial-queue-state', (data) => {
      setQueueData(data);
    });
    newSocket.on('ticket-created', (data) => {
      setQueueData(prev => ({ ...prev, created: data }));
    });
    newSocket.on('ticket-updated', (data) => {
      setQueueData(prev => ({ ...prev, updated: data }));
    });
  },

  // Kiosk Ticket Creation
  kiosk: async ([counterId]) => {
    const selectedProcedure = undefined;
    try {
      const response = await fetch('/app/tickets/', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({
          counter_id: parseInt(counterId),
          procedure_id: selectedProcedure?.id,
          priority: 'normal'
        })
      });

      const newTicket = await response.json();

      toast.success(newTicket);
    } catch (error) {
      console.error('❌ Error creating ticket:', error);
      toast.error('Có lỗi xảy ra khi tạo số thứ tự');
    }
  },

  // Officer Interface
  officer: async ([counterID, token]) => {
    const fetchWaitingTickets = async (id) => (await fetch(`/api/tickets/waiting?counter_id=${id}`)).json();
    try {
      // Get next ticket from queue
      const waitingTickets = await fetchWaitingTickets(counterID);
      const nextTicket = waitingTickets.waiting_queue[0];

      if (!nextTicket) {
        toast.info('Không còn khách hàng nào đang chờ');
        return;
      }

      // Update ticket status to 'called'
      await fetch(`/app/tickets/${nextTicket.ticket_id}`, {
        method: 'PATCH',
        headers: {
          'Authorization': `Bearer ${token}`,
          'Content-Type': 'application/json'
        },
        body: JSON.stringify({ status: 'called' })
      });

      toast.success(`🔊 Đã gọi số ${nextTicket.number}`);
    } catch (error) {
      toast.error('Có lỗi khi gọi số tiếp theo');
    }
  },
};
await snippets[snippet](rest);
